# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that the modules of machines share."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.node.host``."""

    HOST = r"""
options:
  kind:
    description:
      - V(local_qemu) is a domain of libvirt. Needs C(python3-libvirt) and C(qemu-utils) on the hypervisor, and the system's Python for the module.
      - V(local_nspawn) is a machine of C(systemd-nspawn), from the package C(systemd-container).
    type: str
    required: true
    choices: [local_qemu, local_nspawn]
  uri: {description: Address of libvirt., type: str, default: 'qemu:///system'}
  folder:
    description: Where machines and what belongs to them lie on the host. Nobody but root may write there.
    type: path
    default: /var/lib/bowline/machines
  mode:
    description:
      - V(real) works on the host; V(recorder) works on a file in O(folder) and writes what a host would be asked to C(recorder/tape.jsonl) there;
        V(disabled) fails with C(provider_disabled) and asks nobody. V(local) is another word for V(recorder).
      - Without it, E(BOWLINE_LIBVIRT_MODE) and then E(POWERNODE_LIBVIRT_MODE) of the host are asked; without those it is V(real). Any other word is refused.
    type: str
"""
