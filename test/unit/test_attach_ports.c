/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/state_ports.h"

#include <errno.h>

#include "shared/util.h"
#include "test/unit/t.h"

static int read_one(uint32_t protocol, uint32_t low, uint32_t high,
		    struct cp_policy_ports *ret)
{
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	Sentinel__State__V1__Port message;
	Sentinel__State__V1__Port *messages[] = { &message };
	uint8_t n = 0;
	int r;

	sentinel__state__v1__port__init(&message);
	message.protocol = protocol;
	message.low = low;
	message.high = high;
	r = cp_attach_state_ports_unpack(messages, 1, ports, &n);
	t_eq(n, r == 0);
	if (r == 0)
		*ret = ports[0];
	return r;
}

static void ports_come_back_as_they_were(void)
{
	const struct cp_policy_ports ports[] = {
		{ .low = 0, .high = 65535, .protocol = 1 },
		{ .low = 443, .high = 443, .protocol = 6 },
		{ .low = 8000, .high = 8100 },
	};
	struct cp_policy_ports again[CP_POLICY_PORTS_MAX];
	Sentinel__State__V1__Port messages[3];
	Sentinel__State__V1__Port *pointers[3];
	uint8_t n;

	cp_attach_state_ports_pack(ports, 3, messages, pointers);
	t_eq(cp_attach_state_ports_unpack(pointers, 3, again, &n), 0);
	t_eq(n, 3);
	t_mem_eq(again, ports, sizeof(ports));
}

/* Cut to their types they would open other ports than were written. */
static void what_is_no_range_is_refused(void)
{
	struct cp_policy_ports ports;

	t_eq(read_one(255, 65535, 65535, &ports), 0);
	t_eq(ports.protocol, 255);
	t_eq(read_one(256, 1, 1, &ports), -EBADMSG);
	t_eq(read_one(6, 80, 65536 + 80, &ports), -EBADMSG);
	t_eq(read_one(6, 65536 + 80, 65536 + 80, &ports), -EBADMSG);
	t_eq(read_one(6, 81, 80, &ports), -EBADMSG);
}

static void more_than_a_rule_has_are_refused(void)
{
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	Sentinel__State__V1__Port message;
	Sentinel__State__V1__Port *messages[CP_POLICY_PORTS_MAX + 1];
	uint8_t n;

	sentinel__state__v1__port__init(&message);
	for (size_t i = 0; i < SN_ARRAY_SIZE(messages); i++)
		messages[i] = &message;
	t_eq(cp_attach_state_ports_unpack(messages, CP_POLICY_PORTS_MAX, ports,
					  &n),
	     0);
	t_eq(n, CP_POLICY_PORTS_MAX);
	t_eq(cp_attach_state_ports_unpack(messages, CP_POLICY_PORTS_MAX + 1,
					  ports, &n),
	     -EBADMSG);
}

T_MAIN("attach_ports", ports_come_back_as_they_were,
       what_is_no_range_is_refused, more_than_a_rule_has_are_refused)
