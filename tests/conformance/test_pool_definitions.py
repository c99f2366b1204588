"""Pools as people define them: what means nothing on one machine is accepted, and given back as it came."""

import pytest

UBUNTU = {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
AGENT = "batch.node.ubuntu 24.04"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"


def machine(**more):
    return {"virtualMachineConfiguration": {"imageReference": UBUNTU, "nodeAgentSKUId": AGENT} | more}


DEFINITIONS = {
    "upgrade policy": {
        "upgradePolicy": {
            "mode": "rolling",
            "automaticOSUpgradePolicy": {
                "disableAutomaticRollback": True,
                "enableAutomaticOSUpgrade": True,
                "useRollingUpgradePolicy": True,
                "osRollingUpgradeDeferral": True,
            },
            "rollingUpgradePolicy": {
                "enableCrossZoneUpgrade": True,
                "maxBatchInstancePercent": 20,
                "maxUnhealthyInstancePercent": 20,
                "maxUnhealthyUpgradedInstancePercent": 20,
                "pauseTimeBetweenBatches": "PT5S",
                "prioritizeUnhealthyInstances": False,
                "rollbackFailedInstancesOnPolicyBreach": False,
            },
        }
    },
    "network": {
        "enableInterNodeCommunication": True,
        "networkConfiguration": {
            "subnetId": SUBNET,
            "dynamicVNetAssignmentScope": "none",
            "enableAcceleratedNetworking": True,
            "publicIPAddressConfiguration": {"provision": "nopublicipaddresses"},
            "endpointConfiguration": {
                "inboundNATPools": [
                    {
                        "name": "ssh",
                        "protocol": "tcp",
                        "backendPort": 22,
                        "frontendPortRangeStart": 15000,
                        "frontendPortRangeEnd": 15100,
                        "networkSecurityGroupRules": [
                            {"priority": 150, "access": "allow", "sourceAddressPrefix": "10.0.0.0/8"}
                        ],
                    }
                ]
            },
        },
    },
    "containers": machine(
        containerConfiguration={
            "type": "dockerCompatible",
            "containerImageNames": ["registry.example/worker:1"],
            "containerRegistries": [
                {"registryServer": "registry.example", "identityReference": {"resourceId": IDENTITY}}
            ],
        }
    ),
    "trusted launch": machine(
        securityProfile={
            "securityType": "trustedLaunch",
            "encryptionAtHost": True,
            "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
        }
    ),
    "disks": machine(
        osDisk={
            "caching": "readonly",
            "diskSizeGB": 100,
            "managedDisk": {"storageAccountType": "premium_lrs"},
            "ephemeralOSDiskSettings": {"placement": "cachedisk"},
        },
        dataDisks=[
            {"lun": 0, "caching": "readwrite", "diskSizeGB": 512, "managedDisk": {"storageAccountType": "premium_lrs"}}
        ],
        diskEncryptionConfiguration={"targets": ["temporarydisk"]},
        nodePlacementConfiguration={"policy": "zonal"},
    ),
    "gallery image": {
        "virtualMachineConfiguration": {
            "imageReference": {"virtualMachineImageId": "/subscriptions/s/galleries/g/images/i/versions/1.0.0"},
            "nodeAgentSKUId": AGENT,
        }
    },
    "policies": {
        "taskSlotsPerNode": 4,
        "taskSchedulingPolicy": {"nodeFillType": "Pack", "jobDefaultOrder": "creationtime"},
        "resizeTimeout": "PT10M",
        "metadata": [{"name": "team", "value": "imaging"}, {"name": "cost", "value": "42"}],
        "displayName": "A pool",
    },
    "a start task": {
        "startTask": {
            "commandLine": "/bin/bash -c 'apt-get update'",
            "environmentSettings": [{"name": "A", "value": "b"}],
            "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "admin"}},
            "maxTaskRetryCount": 2,
            "waitForSuccess": True,
        }
    },
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_pool_is_given_back_as_it_was_defined(account, bench, name):
    pool_id = bench.new_id("pool")
    body = {"id": pool_id, "vmSize": "standard_d4s_v3"} | machine() | DEFINITIONS[name]
    answer = account.send("POST", "/pools", body)
    assert answer.status == 201, answer.body
    shown = account.send("GET", f"/pools/{pool_id}").body
    account.send("DELETE", f"/pools/{pool_id}")
    assert {field: shown.get(field) for field in body} == body


def test_secrets_are_not_given_back(account, bench):
    pool_id = bench.new_id("pool")
    extension = {
        "name": "e", "publisher": "p", "type": "t", "typeHandlerVersion": "1.0", "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": True, "settings": {"a": "b"},
    }  # fmt: skip
    user = {"name": "u", "elevationLevel": "admin", "linuxUserConfiguration": {"uid": 1000, "gid": 1000}}
    registry = {"registryServer": "r", "username": "u"}
    body = {"id": pool_id, "vmSize": "standard_d4s_v3"} | machine(
        extensions=[extension | {"protectedSettings": {"key": "hidden"}}],
        containerConfiguration={
            "type": "dockerCompatible", "containerRegistries": [registry | {"password": "hidden"}],
        },
    )  # fmt: skip
    body["userAccounts"] = [user | {"password": "hidden"}]
    assert account.send("POST", "/pools", body).status == 201
    # The schema of 2025-06-01 wants the password of a user back, which the service does not give.
    shown = account.send("GET", f"/pools/{pool_id}", query="api-version=2024-07-01.20.0")
    account.send("DELETE", f"/pools/{pool_id}")
    assert b"hidden" not in shown.content
    assert shown.body["userAccounts"] == [user]
    configuration = shown.body["virtualMachineConfiguration"]
    assert configuration["extensions"] == [extension]
    assert configuration["containerConfiguration"]["containerRegistries"] == [registry]


def test_a_file_system_to_mount_is_refused_with_the_reason(account, bench):
    share = {"source": "10.0.0.1:/share", "relativeMountPath": "share", "mountOptions": "-o vers=4"}
    body = {"id": bench.new_id("pool"), "vmSize": "s", "mountConfiguration": [{"nfsMountConfiguration": share}]}
    answer = account.send("POST", "/pools", body | machine())
    assert (answer.status, answer.code) == (400, "UnsupportedProperty")
    assert answer.body["values"][0] == {"key": "PropertyName", "value": "mountConfiguration"}
    assert "mounts nothing" in answer.body["values"][1]["value"]
