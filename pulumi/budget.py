"""A budget: mails before and when the money is spent. It stops nothing; the pool's limits do."""

import pulumi
from place import Place
from pulumi_azure_native import consumption
from settings import first_of_month


class Budget(pulumi.ComponentResource):
    """A monthly budget of the resource group."""

    def __init__(self, place: Place) -> None:
        super().__init__("batchimg:cloud:Budget", place.name)
        consumption.Budget(
            f"{place.name}-budget",
            scope=place.group.id,
            amount=place.settings.budget,
            category="Cost",
            time_grain="Monthly",
            time_period={"start_date": first_of_month()},
            notifications={
                "spent80": self._mail(place, 80, "Actual"),
                "forecast100": self._mail(place, 100, "Forecasted"),
            },
            # It begins in the month in which it was made; a later `pulumi up` leaves that as it is.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["timePeriod"]),
        )
        self.register_outputs({})

    @staticmethod
    def _mail(place: Place, percent: int, kind: str) -> dict[str, object]:
        return {
            "enabled": True,
            "operator": "GreaterThanOrEqualTo",
            "threshold": percent,
            "threshold_type": kind,
            "contact_emails": list(place.settings.budget_emails),
        }
