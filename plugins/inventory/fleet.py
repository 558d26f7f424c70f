# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
short_description: Nodes of the store as an inventory, with live phase and health as groups
description:
  - Each node that has a machine is a host. Phase and health are computed when the inventory is read, by the clock of the controller.
  - Groups are C(nodes) (all of them), C(phase_*), C(health_*), C(provider_*), C(template_*), C(module_*) (by the modules that the node wants), C(cordoned),
    C(drifted) (the machine says that it carries other modules) and C(stalled). What is no letter, digit or underscore becomes an underscore.
  - A host has the variables C(node_name), C(bowline) (all that is known of it, see the examples), and C(ansible_host) where an address is known.
  - Where the machine has enrolled, ssh is held to the host key that was pinned then, by C(ansible_ssh_common_args), whatever C(host_key_checking) says.
    Without a pin, ssh asks as it always does.
  - The store is read as it is. One that is missing, or was written by another version of the collection, is a failure and no empty inventory. Ansible
    itself goes on with a warning when a source fails; C(any_unparsed_is_failed=true) in section C([inventory]) of C(ansible.cfg) makes it stop.
  - Values are the words of machines and operators. None of them is a template, whatever stands in it.
  - The file has to end with V(.fleet.yml) or V(.fleet.yaml).
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [constructed, inventory_cache]
options:
  plugin: {description: Marks the file as one for this plugin., type: str, required: true, choices: [bowline.fleet.fleet]}
  dsn:
    description:
      - DSN of the store, as O(bowline.fleet.node#module:store) has it. Without it, the one in E(BOWLINE_STATE_DSN) is used, then C(.bowline/state.db) beside
        this file, and last the file C(bowline/store.db) in the user's XDG state directory.
      - A password does not belong here; name a file of libpq, C(?passfile=/path).
    type: str
  source:
    description:
      - V(store) is what is on record. V(both) asks the providers of machines that stand on the controller (which its inventory calls C(localhost)) as well,
        so that power and addresses are those of now; V(provider) leaves out what they do not have. Needs the rights that the provider needs.
      - No answer is a failure and no empty inventory. Machines that stand elsewhere are shown as they are on record, with a warning.
    type: str
    choices: [store, provider, both]
    default: store
  phases:
    description: Only nodes in these phases. By default all that have a machine.
    type: list
    elements: str
    choices: [no_instance, pending, provisioning, bootstrapping, running, draining, drained, stopping, stopped, starting, terminating, terminated]
    default: [pending, provisioning, bootstrapping, running, draining, drained, stopping, stopped, starting, terminating]
  address_preference:
    description:
      - Which address becomes C(ansible_host), the best first. V(ipv4), V(ipv6), V(private), V(public), V(name) (a name under which it enrolled), or a
        network like V(10.0.0.0/8). Without one that fits, the host has no C(ansible_host) and is reached by its name.
      - Addresses are those that the provider named last, then those at which the machine enrolled. Of the provider's, none that leads to the controller
        itself is taken.
    type: list
    elements: str
    default: [ipv4, ipv6, name]
  host_id:
    description: What a host is called, after its node, or by the id of its machine, which another machine of the node does not have.
    type: str
    choices: [name, instance]
    default: name
  fresh_within: {description: Only machines that were heard in the last so many seconds., type: float}
  authority:
    description:
      - Folder with the file of pinned host keys, as O(bowline.fleet.node_enrolment#module:authority) has it. By default C(bowline/authority) in the user's
        XDG state directory.
    type: path
notes:
  - With O(cache=true) phase and health are as old as the cache; C(bowline.read_at) says since when.
"""

EXAMPLES = r"""
# inventories/live/hub.fleet.yml
plugin: bowline.fleet.fleet
phases: [bootstrapping, running, draining, drained]
address_preference: [10.0.0.0/8, ipv4]
keyed_groups:
  - {key: bowline.labels.rack, prefix: rack}
groups:
  behind: bowline.drifted and bowline.health == 'ok'
compose:
  # A way over another host, held to the pinned key as well.
  ansible_ssh_common_args: ansible_ssh_common_args ~ ' -o ProxyJump=gate.example.org'
  ansible_user: "'operator'"
"""

import hashlib
import json
import os
import typing as t
from dataclasses import replace

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ..module_utils._core.errors import FleetError
from ..module_utils._core.finding import failure
from ..module_utils._node.hosts import Host, Wanted, hosts, wrong
from ..module_utils._node.observing import ask, has
from ..module_utils._node.reading import Read, read
from ..plugin_utils.authority import FileAuthority, default_folder
from ..plugin_utils.hypervisor import HERE, call
from ..plugin_utils.reading import fleet, said

_OPTIONS = ("dsn", "source", "phases", "address_preference", "host_id", "fresh_within", "authority")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """Strings that it sets carry no trust, so no version of ansible-core that this collection runs on takes one for a template."""

    NAME = "bowline.fleet.fleet"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith((".fleet.yml", ".fleet.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path)
        self._read_config_data(path)
        try:
            found = self._kept(path, cache)
        except FleetError as error:
            raise AnsibleParserError(said(error)) from None
        for host in found:
            self._add(host)

    def _kept(self, path: str, cache: bool) -> list[Host]:
        """The hosts, from the cache where that is asked for and has them under the same options."""
        caching = self.get_option("cache")
        key = ""
        if caching:
            options = json.dumps([self.get_option(name) for name in _OPTIONS])
            key = f"{self.get_cache_key(path)}_{hashlib.sha256(options.encode()).hexdigest()[:12]}"
            kept = self._cache.get(key) if cache else None
            if kept is not None:
                return [Host(one["name"], tuple(one["groups"]), one["variables"]) for one in kept]
        found = self._read(path)
        if caching:
            self._cache[key] = [{"name": host.name, "groups": list(host.groups), "variables": dict(host.variables)} for host in found]
        return found

    def _read(self, path: str) -> list[Host]:
        wanted = Wanted(tuple(self.get_option("phases")), tuple(self.get_option("address_preference")), self.get_option("host_id"),
                        self.get_option("fresh_within"))  # fmt: skip
        findings = wrong(wanted)
        if findings:
            raise failure(findings, "Nothing was read.")
        with fleet(self.get_option("dsn"), [path]) as store:
            reads, warned = self._seen(read(store), store.fleet())
            authority = FileAuthority(self.get_option("authority") or default_folder(os.environ), store.fleet(), store.now)
            pinned = authority.known_hosts()
            found, warnings = hosts(reads, pinned, replace(wanted, known_hosts=authority.known_hosts_file() if pinned else ""))
        for warning in [*warned, *warnings]:
            self.display.warning(warning)
        return found

    def _seen(self, reads: list[Read], name: str) -> tuple[list[Read], list[str]]:
        """The nodes as their providers have them now, where that is asked for, and what is to be said of it."""
        source = self.get_option("source")
        if source == "store":
            return reads, []
        asked = ask(reads, name, HERE, call, None)
        warned = [f"{count} of the nodes stand at {where}, which was not asked." for where, count in sorted(asked.elsewhere.items())]
        return [one for one in asked.reads if source == "both" or has(asked, one)], warned

    def _add(self, host: Host) -> None:
        if host.name in self.inventory.groups:
            self.display.warning(f"{host.name} is left out: a group of this inventory is called so. With host_id: instance it has another name.")
            return
        self.inventory.add_host(host.name)
        for name, value in host.variables.items():
            self.inventory.set_variable(host.name, name, value)
        for group in host.groups:
            self.inventory.add_child(self.inventory.add_group(group), host.name)
        strict = self.get_option("strict")
        variables = self.inventory.get_host(host.name).get_vars()
        self._set_composite_vars(self.get_option("compose"), variables, host.name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host.name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host.name, strict=strict)
