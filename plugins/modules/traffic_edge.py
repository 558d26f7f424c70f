#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_edge
short_description: Keep an edge between a reverse proxy and its application, with a route and a hold that ends by itself
description:
  - An edge is an HAProxy (2.6 or newer) that sends each request to the application of its own side or to the public TLS port of the other
    side, and that can make requests wait for a moment. It lets a cutover switch traffic at once, without an error and without DNS.
  - The module writes the files of the edge, validates them before they replace others, makes a running edge take them, sets route and hold
    in the file and in the running process, and puts the edge behind the proxy once it answers through itself. It does not start the
    process; the result names the command that does.
  - It also writes C(bowline-edge), one file with the very same code, for the watchdog of a switch and for operators.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.wait]
requirements:
  - haproxy >= 2.6 where the edge runs
options:
  state:
    description:
      - With V(present) the edge is as described.
      - With V(absent) the proxy has its old configuration, byte for byte, and no file is left. Whoever started the process stops it then.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - Where everything of the edge is. An edge in a container has it mounted at the same path, read-only, and only its folder C(run) to write in.
        At most 60 characters.
      - What only root may read, the token and the record of the proxy, is in the folder of the same name with C(.private) behind it, which is to be
        mounted nowhere.
      - HAProxy loads what lies there. One that others could write in or swap is refused with C(unsafe_path).
    type: path
    required: true
  side:
    description: The side that this edge belongs to. Required with O(state=present).
    type: str
    choices: [legacy, new]
  services:
    description: What the edge stands in front of, one listener each. Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      name: {description: 'Name of the service, used in file and backend names.', type: str, required: true}
      listen:
        description:
          - Address and port to listen on, as the edge sees them, or the path of a unix socket for a proxy on the same host, as
            C(unix@DIRECTORY/run/clients/NAME). Only the group O(services[].group) can enter the last folder, whose name is free; the socket is 0660.
        type: str
        required: true
      clients:
        description:
          - Addresses and networks that may connect, the reverse proxy's alone if possible; every other connection is ended before it says a word.
          - Without it this host itself where O(services[].listen) is a loopback address. Required for every other address.
          - A proxy in a container whose address may change is named by the network of its containers.
        type: list
        elements: str
      group: {description: Group of the reverse proxy. Required with a unix socket and of one only., type: str}
      local:
        description:
          - Host and port of the application of this side, as the edge sees it. A host name is followed.
          - Or C(unix:) and the path of its socket; the user of the edge needs the right to write to it, and a container the folder as a mount.
        type: str
        required: true
  token:
    description:
      - Secret that both edges of a pair have and nobody else; what a request says of its way counts only with it. 22 to 128 letters, digits, C(-), C(_).
      - Without it the one that an earlier run kept. The role C(bowline.fleet.edge) makes it and brings it to both sides.
    type: str
  peer:
    description: The public TLS port of the other side. Required with O(state=present).
    type: dict
    suboptions:
      address: {description: Address or name to connect to., type: str, required: true}
      port: {description: Port to connect to., type: int, default: 443}
      hostname: {description: Name that is sent as SNI and must be in the certificate., type: str, required: true}
      ca_file:
        description: CA certificates on this host to verify the peer with, copied into O(directory). Without it the system's.
        type: path
  route:
    description:
      - Where requests go. Without it an existing edge keeps its route, and a new one begins with V(local).
      - At a switch only the edge of the side that serves is to be switched; see the edge's decision record in the documentation.
    type: str
    choices: [local, peer]
  hold:
    description: V(0) means that no request is held, another number that they are held for so many seconds, unless they are already.
    type: float
  hold_max:
    description: No hold is longer than so many seconds. It has to end before the proxy gives its requests up, see O(proxy.timeout).
    type: float
    default: 30
  warmup:
    description: The request that shows that a side, or the edge itself, is ready.
    type: dict
    suboptions:
      service: {description: Service that is asked; the first of O(services) without it., type: str}
      host: {description: Value of the Host header; O(peer.hostname) without it., type: str}
      path: {description: Path that is asked for; must answer 200., type: str, default: /up}
      count: {description: So many answers in a row., type: int, default: 5}
      timeout: {description: Within so many seconds., type: float, default: 10}
  proxy:
    description:
      - The reverse proxy to put the edge behind. Without it the proxy stays as it is.
      - With O(state=absent) the commands are those given here, or those of the run that put the edge in.
    type: dict
    suboptions:
      driver:
        description:
          - Kind of proxy. V(nginx), V(caddy) (a Caddyfile), V(traefik) (a dynamic file of its file provider) and V(haproxy) need O(proxy.config) and
            O(proxy.upstreams), and all but V(traefik), which sees its file change, O(proxy.check) and O(proxy.reload).
          - V(traefik_labels) is for Traefik that reads the labels of containers. No file is changed; the container of the edge, O(proxy.container), has
            the rules of the application's at a higher priority (RV(bowline.fleet.traffic_edge_info#module:labels)), and a health check that holds
            them back until the edge is put in.
          - V(command) runs O(proxy.insert), O(proxy.remove) and O(proxy.check) of yours, and believes what they say.
        type: str
        choices: [nginx, caddy, traefik, traefik_labels, haproxy, command]
        default: nginx
      config:
        description: File on this host that is changed. It is written in place, and comes back byte for byte; what others write meanwhile stays.
        type: path
      upstreams:
        description: What becomes which service of the edge.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - What the proxy calls the application, as it stands in O(proxy.config).
              - With V(nginx) the name of an C(upstream) block, or the address in C(proxy_pass http://ADDRESS); with V(caddy) an upstream of
                C(reverse_proxy); with V(traefik) a name of C(http.services); with V(haproxy) the name of a C(backend) or C(listen);
                with V(traefik_labels) the container of the application, or container and service (C(hub-app-1/app)) where it has several.
            type: str
            required: true
          service: {description: Name of the service of the edge., type: str, required: true}
          via: {description: 'The listener of the edge as the proxy sees it, host and port or C(unix:) and a path.', type: str, required: true}
      check:
        description:
          - Command that checks the proxy's configuration, such as C(nginx -t).
          - With V(command) it tells by its exit code whether the edge is in (0) or out (1), and changes nothing, as check mode runs it, too.
        type: list
        elements: str
      reload: {description: Command that makes the proxy take it gracefully., type: list, elements: str}
      insert:
        description:
          - Command of driver V(command) that puts the edge in. It does nothing when the edge is in already, ends no request, and returns when the
            proxy sends to the edge. O(proxy.upstreams) are in its environment, C(BOWLINE_UPSTREAMS), as JSON with name and O(proxy.upstreams[].via).
        type: list
        elements: str
      container:
        description:
          - Container of the edge, with driver V(traefik_labels). Its health check is whether the file C(in-the-path) is in O(directory).
        type: str
      remove: {description: 'The same for taking it out: what stood there before, byte for byte, is its word.', type: list, elements: str}
      timeout:
        description:
          - Seconds that the proxy waits for an answer. Without it what the driver reads in its configuration, and 60 with V(command).
          - A O(hold_max) that is not at least 5 seconds shorter (of less than 10 seconds half) is refused with C(hold_refused).
        type: float
      door:
        description:
          - Where the proxy answers its clients, as this host sees it. Behind the reload sixteen requests in a row and one with headers of 16 kB have to
            reach the edge there, and an ordinary one gets what it got before; else the old configuration comes back with C(proxy_not_proven).
          - When nothing answers there, nothing is changed (C(proxy_door)). Nothing secret is sent, so the certificate is not judged.
        type: dict
        suboptions:
          address: {description: Address or name to connect to., type: str, default: 127.0.0.1}
          port: {description: Port to connect to., type: int, default: 443}
          hostname: {description: Name for SNI and Host; the name in O(warmup.host) without it., type: str}
          path: {description: Path that the proxy sends to the application; O(warmup.path) without it., type: str}
          tls: {description: Whether the proxy speaks TLS there., type: bool, default: true}
  check_config:
    description:
      - Command that validates the configuration of the edge; C({config}) becomes the path of the candidate in O(directory).
      - C(haproxy -c -q -f {config}) without it.
    type: list
    elements: str
  reload:
    description: Command that makes a running edge take its files; without it the master process is asked through its socket.
    type: list
    elements: str
  user:
    description:
      - User, or number of one, that HAProxy runs as; root is refused. It can write in C(run) and nowhere else. Start the process as this user.
      - Without it as the process is started.
    type: str
  group: {description: 'Group, or number of one, that HAProxy runs as. The user''s own without it; required with a number.', type: str}
  subject:
    description:
      - Name of the stack that the edge belongs to. A directory with the edge of another one is refused with C(not_owner), also with O(state=absent).
      - Of an edge that says none O(peer.hostname) tells whose it is.
    type: str
  given_up:
    description: >-
      With O(state=absent), whether the proxy has ended and nobody comes to this side any more. Its configuration is given back without a check or a reload,
      and the route of the edge does not matter.
    type: bool
    default: false
  process:
    description:
      - What runs the process, so that a crash is seen at once (C(edge_crashed), with the line of its log that complains) and a container or unit
        that runs something else is refused (C(not_owner)). Without it an edge that does not answer is waited for.
    type: dict
    suboptions:
      container: {description: Name of a container of the local Docker engine., type: str}
      unit: {description: 'Name of a systemd unit, without C(.service).', type: str}
  process_renewed:
    description: Whether this run makes the container of O(process) anew or changed its unit; what that means for requests is said as a warning.
    type: bool
    default: false
  command:
    description:
      - Where to write C(bowline-edge), in a directory where nobody else writes. Several edges on a host may share it; the last one that is taken out
        takes it along.
    type: path
    default: /usr/libexec/bowline/bowline-edge.pyz
seealso:
  - module: bowline.fleet.traffic_edge_info
"""
EXAMPLES = r"""
- name: Write the edge of the legacy side
  bowline.fleet.traffic_edge: &edge
    side: legacy
    directory: /var/lib/bowline/edge
    services:
      - {name: app, listen: "0.0.0.0:18080", local: "backend:3000", clients: [172.18.0.0/16]}
    token: "{{ pair_token }}"
    user: "99"
    group: "99"
    peer: {address: 192.0.2.20, hostname: hub.example.com, ca_file: /etc/ssl/certs/ca-certificates.crt}
    check_config: [docker, run, --rm, --user, "99:99", -v, "/var/lib/bowline/edge:/var/lib/bowline/edge:ro", "haproxy:2.6", haproxy, -c, -q, -f, "{config}"]

- name: Put it behind nginx once its process runs
  bowline.fleet.traffic_edge:
    <<: *edge
    proxy:
      config: /srv/hub/nginx/site.conf
      upstreams:
        - {name: backend, service: app, via: "edge:18080"}
      check: [docker, exec, hub-nginx-1, nginx, -t]
      reload: [docker, exec, hub-nginx-1, nginx, -s, reload]

- name: Send the clients of this side to the other one
  bowline.fleet.traffic_edge:
    <<: *edge
    route: peer

- name: Write the edge of the new side, whose nginx runs on the same host
  bowline.fleet.traffic_edge:
    side: new
    directory: /var/lib/bowline/edge
    services:
      - {name: app, listen: "unix@/var/lib/bowline/edge/run/clients/app", local: "127.0.0.1:3000", group: www-data}
    token: "{{ pair_token }}"
    peer: {address: 192.0.2.10, hostname: hub.example.com}
    user: haproxy

- name: Take the edge out again
  bowline.fleet.traffic_edge:
    state: absent
    directory: /var/lib/bowline/edge
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "insert", "reason": "the proxy does not send to the edge", "disruptive": false}]
evidence:
  description: Paths of the files that were written (foreseen in check mode).
  returned: success
  type: dict
  sample: {"files": ["/var/lib/bowline/edge-hub/haproxy.cfg"]}
edge:
  description: The edge after the run; check mode leaves out what only a run can tell (epoch, counters). None when it is absent.
  returned: success
  type: dict
  contains:
    directory: {description: The edge's directory., type: str, returned: always}
    side: {description: Side that the edge belongs to., type: str, returned: always}
    running: {description: Whether the process answers., type: bool, returned: always}
    route: {description: V(local) or V(peer)., type: str, returned: always}
    serves: {description: Side that requests go to., type: str, returned: always}
    epoch: {description: Unix time in ms at which the route was set., type: int, returned: not in check mode}
    hold: {description: Seconds until the hold ends by itself; 0 without one., type: float, returned: not in check mode}
    in_step: {description: Whether file and process agree., type: bool, returned: when running}
    in_flight: {description: Requests that are being served., type: int, returned: when running}
    upgraded: {description: Open upgraded connections (answered with 101)., type: int, returned: when running}
    old_workers: {description: Processes that a reload left behind., type: int, returned: when running}
    inserted: {description: Whether the proxy sends to the edge., type: bool, returned: always}
    start: {description: Command that starts the process in the foreground., type: list, elements: str, returned: always}
  sample:
    side: legacy
    directory: /var/lib/bowline/edge-hub
    running: true
    route: local
    serves: legacy
    epoch: 1795834141436
    hold: 0.0
    in_step: true
    in_flight: 0
    upgraded: 0
    old_workers: 0
    inserted: true
    start: [haproxy, -W, -db, -S, '/var/lib/bowline/edge-hub/run/master.sock,mode,600', -f, /var/lib/bowline/edge-hub/haproxy.cfg]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: edge_not_ready
    message: '200 from the edge itself for GET /up; the proxy is unchanged was not seen in 300 s; last: 503.'
    remedy: Start the edge and the application behind it.
    details: {}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.argspec import WAIT
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._traffic.argspec import EDGE
from ..module_utils._traffic.run import run_edge


def main() -> None:
    required = [("state", "present", ["side", "services", "peer"])]
    module = AnsibleModule({**EDGE, **WAIT}, required_if=required, supports_check_mode=True)
    finish(module, lambda: run_edge(module.params, module_runner(module), module.check_mode), [module.params["token"] or ""])


if __name__ == "__main__":
    main()
