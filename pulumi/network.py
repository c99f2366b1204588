"""The network of `network: vnet`: nodes without public addresses, storage and Batch behind private endpoints."""

from dataclasses import dataclass

import pulumi
from place import Place
from pulumi_azure_native import network, privatedns

ADDRESSES, NODES, ENDPOINTS = "10.20.0.0/16", "10.20.0.0/20", "10.20.16.0/24"


@dataclass(frozen=True)
class Target:
    """What a private endpoint leads to: a resource, the part of it, and the DNS zone of that part."""

    word: str
    resource_id: pulumi.Input[str]
    part: str
    zone: str


class Network(pulumi.ComponentResource):
    """A virtual network with a subnet for nodes and one for endpoints; ``nodes`` is the nodes' subnet."""

    def __init__(self, place: Place) -> None:
        name, settings, group, tags = place.name, place.settings, place.group, place.tags
        super().__init__("batchimg:cloud:Network", name)
        self._name, self._group, self._tags = name, group, tags
        self._below = pulumi.ResourceOptions(parent=self)
        self._zones: dict[str, privatedns.PrivateZone] = {}
        self.network = network.VirtualNetwork(
            f"{name}-network",
            resource_group_name=group.name,
            address_space={"address_prefixes": [ADDRESSES]},
            tags=tags,
            # Subnets are resources of their own; without this every update would take them away again.
            opts=pulumi.ResourceOptions.merge(self._below, pulumi.ResourceOptions(ignore_changes=["subnets"])),
        )
        rules = self._rules()
        nat = self._nat() if settings.nat_gateway else None
        self.nodes = network.Subnet(
            f"{name}-nodes",
            subnet_name="nodes",
            resource_group_name=group.name,
            virtual_network_name=self.network.name,
            address_prefix=NODES,
            default_outbound_access=False,
            network_security_group={"id": rules.id},
            nat_gateway={"id": nat.id} if nat else None,
            opts=pulumi.ResourceOptions(parent=self.network),
        )
        self._endpoints = network.Subnet(
            f"{name}-endpoints",
            subnet_name="endpoints",
            resource_group_name=group.name,
            virtual_network_name=self.network.name,
            address_prefix=ENDPOINTS,
            default_outbound_access=False,
            network_security_group={"id": rules.id},
            private_endpoint_network_policies="Enabled",
            # Azure changes one subnet of a network at a time.
            opts=pulumi.ResourceOptions(parent=self.network, depends_on=[self.nodes]),
        )
        self.register_outputs({})

    def private_endpoint(self, target: Target) -> network.PrivateDnsZoneGroup:
        """Make one part of a resource answer inside the network alone; what needs it depends on what is returned."""
        endpoint = network.PrivateEndpoint(
            f"{self._name}-{target.word}-endpoint",
            resource_group_name=self._group.name,
            subnet={"id": self._endpoints.id},
            private_link_service_connections=[
                {"name": target.word, "private_link_service_id": target.resource_id, "group_ids": [target.part]}
            ],
            tags=self._tags,
            opts=self._below,
        )
        return network.PrivateDnsZoneGroup(
            f"{self._name}-{target.word}-dns",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            resource_group_name=self._group.name,
            private_dns_zone_configs=[{"name": target.word, "private_dns_zone_id": self._zone(target.zone).id}],
            opts=pulumi.ResourceOptions(parent=endpoint),
        )

    def _zone(self, zone: str) -> privatedns.PrivateZone:
        if zone not in self._zones:
            word = zone.split(".")[1]
            made = privatedns.PrivateZone(
                f"{self._name}-{word}-zone",
                private_zone_name=zone,
                location="global",
                resource_group_name=self._group.name,
                tags=self._tags,
                opts=self._below,
            )
            privatedns.VirtualNetworkLink(
                f"{self._name}-{word}-link",
                private_zone_name=made.name,
                location="global",
                resource_group_name=self._group.name,
                registration_enabled=False,
                virtual_network={"id": self.network.id},
                tags=self._tags,
                opts=pulumi.ResourceOptions(parent=made),
            )
            self._zones[zone] = made
        return self._zones[zone]

    def _rules(self) -> network.NetworkSecurityGroup:
        """Nothing comes in from outside the network. What is not said here is Azure's default: out is open."""
        return network.NetworkSecurityGroup(
            f"{self._name}-rules",
            resource_group_name=self._group.name,
            security_rules=[
                {
                    "name": "nothing-in-from-the-internet",
                    "priority": 4096,
                    "direction": "Inbound",
                    "access": "Deny",
                    "protocol": "*",
                    "source_address_prefix": "Internet",
                    "source_port_range": "*",
                    "destination_address_prefix": "*",
                    "destination_port_range": "*",
                }
            ],
            tags=self._tags,
            opts=self._below,
        )

    def _nat(self) -> network.NatGateway:
        address = network.PublicIPAddress(
            f"{self._name}-nat-address",
            resource_group_name=self._group.name,
            sku={"name": "Standard"},
            public_ip_allocation_method="Static",
            tags=self._tags,
            opts=self._below,
        )
        return network.NatGateway(
            f"{self._name}-nat",
            resource_group_name=self._group.name,
            sku={"name": "Standard"},
            public_ip_addresses=[{"id": address.id}],
            tags=self._tags,
            opts=self._below,
        )
