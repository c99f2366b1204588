"""Role assignments: the least that each identity needs, each on the smallest thing that it can be given for."""

import pulumi
from pulumi_azure_native import authorization

ROLES = {
    "Azure Batch Job Submitter": "48e5e92e-a480-4e71-aa9c-2778f4c13781",
    "Azure Batch Account Reader": "11076f67-66f6-4be0-8f6b-f0609fd05cc9",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Queue Data Message Processor": "8a0f0c08-91a1-4084-bc3d-661d67233fed",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
}
"""Built-in roles that are used, name -> definition."""


class Grants:
    """Gives roles to one identity; ``kind`` is what it is, None where Azure has to find out."""

    def __init__(self, who: str, principal: pulumi.Input[str], kind: str | None, parent: pulumi.Resource) -> None:
        self._who, self._principal, self._kind, self._parent = who, principal, kind, parent

    def give(self, role: str, on: str, scope: pulumi.Input[str]) -> authorization.RoleAssignment:
        """Give a role on one resource; ``on`` is that resource's word in the assignment's name."""
        subscription = pulumi.Output.from_input(scope).apply(lambda text: "/".join(text.split("/")[:3]))
        definition = pulumi.Output.concat(
            subscription, "/providers/Microsoft.Authorization/roleDefinitions/", ROLES[role]
        )
        return authorization.RoleAssignment(
            f"{self._who}-{role.lower().replace(' ', '-')}-{on}",
            principal_id=self._principal,
            principal_type=self._kind,
            role_definition_id=definition,
            scope=scope,
            opts=pulumi.ResourceOptions(parent=self._parent, delete_before_replace=True),
        )
