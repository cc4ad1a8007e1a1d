# SPDX-License-Identifier: Apache-2.0
"""What one row of the bypass table is."""

import dataclasses
import typing

from sender import MARK  # noqa: F401
from scapy.all import Raw

# What an attempt carries, by which it is known where it arrives; and what a
# part of it carries that is allowed and may arrive.
BODY = Raw(MARK)
MAY = Raw(b"snt-may!")

SOCKETS = ("bridge", "routed", "cgroup", "macvlan")
PACKETS = ("bridge", "tun", "cgroup")
WIRE = ("bridge", "tun")  # Raw sockets mend or refuse it.
FRAMES = ("bridge",)


@dataclasses.dataclass
class Row:
    """One way to get past the filter.

    name: of the way. on: kinds of attachment against which it is tried.
    send(place): tries it and answers a list of "sent" or names of errors.
    reason: whose counter must rise by `count` for it, one for all kinds or by
    kind. carried: kinds where it arrives when nothing is judged; elsewhere the
    kernel on the way refuses it as well. marked: the attempt has room for
    MARK. policy: in force when it is tried. may: part of it is allowed; only
    what carries MARK must not arrive.
    """

    name: str
    on: tuple
    send: typing.Callable
    reason: typing.Any = "no-rule"
    count: int = 1
    carried: typing.Any = None
    marked: bool = True
    policy: str = "closed"
    may: bool = False

    def is_carried(self, kind):
        return kind in (self.on if self.carried is None else self.carried)

    def reason_at(self, kind):
        return self.reason[kind] if isinstance(self.reason, dict) \
            else self.reason

    def forbidden(self, frames):
        return [frame for frame in frames if frame["marked"] or not self.may]


def packets(name, make, on=PACKETS, **more):
    """A row of packets with their own network headers; make(place) answers
    one or a list of them."""
    def send(place):
        made = make(place)
        return place.send_ip(made if isinstance(made, list) else [made])
    return Row(name, on, send, **more)


def frames(name, make, how=None, on=FRAMES, **more):
    """A row of whole Ethernet frames."""
    def send(place):
        made = make(place)
        return place.send_frames(made if isinstance(made, list) else [made],
                                 **(how or {}))
    return Row(name, on, send, **more)


def call(name, method, on=SOCKETS, reason="no-rule", **arguments):
    """A row of one call of sender.py. Callable arguments are asked with the
    place."""
    more = {key: arguments.pop(key) for key in ("carried", "marked", "policy",
                                                "count") if key in arguments}

    def send(place):
        return [getattr(place.sender, method)(**{
            key: value(place) if callable(value) else value
            for key, value in arguments.items()})]
    return Row(name, on, send, reason, **more)
