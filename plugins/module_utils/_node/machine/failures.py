# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of machines and their providers; see _core/failures.py."""

from __future__ import annotations

from ..._core.failures import NOTHING_WRITTEN, STEP, Advice

ADVICE = {
    "identity_mismatch": Advice(
        "A machine stands under this id or name and carries the identity of another one: an id was used twice, or a name was given out again.",
        "Compare both identities in the message. `node_machine_info` lists every machine with an identity of ours. If the machine is the one that is meant,"
        " give its identity; if not, give this instance an id and a name of its own.",
        "The machine that was found: it is neither changed, stopped nor removed, in no state and by no option.",
    ),
    "image_not_published": Advice(
        "The image that the machine shall be made from is not on this host, cannot be read, is of another form than the kind needs, or stands for itself: no"
        " publication of `node_image` and no `image_sha256` says what is in it.",
        "Build it with `node_image` and take the path that it returns, or correct the path. nspawn takes a folder or a tar with a root file system, qemu"
        " takes a qcow2. For an image from elsewhere give `image_sha256`; `accept_unpublished` takes it as it is.",
        "No machine was made. What a killed or failed run has laid down is found again, and made anew by the next run.",
    ),
    "image_digest": Advice(
        "The files of the image were changed since it was built or published, or `image_sha256` is that of another one.",
        "Find out who writes below `image_base`. Remove the folder of the build and build it anew with `node_image`, or correct `image_sha256`.",
        "No machine was made. Machines that were made from it before are as they were.",
    ),
    "immutable_change": Advice(
        "The image, the size of the disk, or whether the root file system is volatile differs from what the machine was made with.",
        "Take the old value back; or remove the machine (`state=absent`) and make one with a new instance id.",
        NOTHING_WRITTEN,
    ),
    "libvirt_error": Advice(
        "libvirt did not answer, or refused the call; its own words stand in the message. Most often its daemon does not run, the network is not active, or"
        " the account may not use it.",
        "`virsh -c <uri> list --all` with the same account shows the same error. Mend it (`systemctl start libvirtd`, `virsh net-start default`);"
        " then run again.",
        STEP + " A machine is never made twice: libvirt knows it by its id.",
    ),
    "machine_ended": Advice(
        "The machine was started and is off again: no init in its root file system, a kernel that finds no disk, a network that is not there.",
        "Read the last lines of its console in the message, or all of it with `node_machine_info` and `console_lines`. Mend that, then run again.",
        "Disk and identity are kept, and no second machine was made.",
    ),
    "machine_missing": Advice(
        "Somebody removed the machine, before this run or between two of its steps; and without `spec` it cannot be made anew.",
        "Find out who; then run again with `spec`: it is made anew, with the same id.",
        STEP,
    ),
    "name_clash": Advice(
        "A machine with this name is there and carries no identity of ours.",
        "Look at it. Give the node another name, or remove that machine by the means that it was made with.",
        "That machine, which is never touched; and nothing was made.",
    ),
    "no_space": Advice(
        "The root file system of the image does not fit into the file system that holds the machines.",
        "Make room there, or give another `folder`; a file system that shares blocks (XFS, Btrfs) copies nothing. Then run again.",
        "No machine was made; what was laid down is removed by the next run, or by `state=absent`.",
    ),
    "option_invalid": Advice(
        "Values of options are wrong, or do not fit the kind of machine; all of them stand in the message.",
        "Correct every one of them. Words of `mode` are real, recorder (also local) and disabled, in the option and in the environment.",
        NOTHING_WRITTEN,
    ),
    "provider_disabled": Advice(
        "`mode` is disabled, or `BOWLINE_LIBVIRT_MODE` or `POWERNODE_LIBVIRT_MODE` says so in the environment of the module.",
        "Give `mode=real`, or take the variable out of the environment.",
        "Everything: the host was not even asked.",
    ),
    "timeout": Advice(
        "A guest does not power off: it has no ACPI, hangs in a service, or was still booting. Or a folder of a machine is held by a mount.",
        "Look at its console (`node_machine_info`). With `force=true` its power is taken away at the deadline; `state=absent` does so at once.",
        STEP,
    ),
}
