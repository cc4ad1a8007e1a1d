/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Random frames of a wished kind, with what a correct reader must find in
 * them. Written from the RFCs, not from bpf/lib/packet.h. */

#include "controld/policy/match.h"
#include "test/bpf/world.h"

enum {
	FRAMES_BYTES = 1200,
	FRAMES_ROUTER_PORT = 33434,
};

enum frames_fragment {
	FRAMES_WHOLE,
	FRAMES_FIRST,
	FRAMES_LATER,
};

/* What the maker is asked for; it may decide what is left open. */
struct frames_wish {
	enum cp_policy_match_kind kind;
	enum sn_direction direction;
	enum sn_role role;
	enum sn_family family;
	bool ethernet;
	uint8_t local[16];
	uint8_t remote[16];
	uint8_t protocol; /* PLAIN and fragments */
	uint16_t local_port; /* host order, where the protocol has ports */
	uint16_t remote_port;
	uint8_t tcp_flags;
	bool first_fragment; /* PLAIN and ICMP_ERROR */
};

struct frames_frame {
	uint8_t bytes[FRAMES_BYTES];
	size_t size;
	size_t network; /* offset of the network header */
	size_t payload; /* behind the transport header, where a flow is possible */
	struct cp_policy_match_packet packet;
	bool may_have_flow;
	bool keeps_flow; /* a new flow is stored for it */
	uint16_t key_local_port; /* of its flow's key, network order */
	uint16_t key_remote_port;
	uint8_t tcp_flags;
	enum frames_fragment fragment;
	uint32_t fragment_id; /* network order */
	uint16_t fragment_offset;
	uint16_t header_bytes; /* of a first fragment */
	uint8_t fragment_protocol;
	enum frames_fragment fragment_quoted; /* in an ICMP error */
	bool is_about; /* an ICMP error with a whole quote of its receiver's */
	bool quotes; /* an ICMP error with a whole, believable quote of: */
	struct sn_flow_key quoted; /* slot 0 */
};

void frames_make(struct world_random *random, const struct frames_wish *wish,
		 struct frames_frame *ret);

/* A UDP packet that 192.168.7.2 of a workload sends by Ethernet. */
void frames_make_udp4(const uint8_t remote[4], uint16_t local_port,
		      uint16_t remote_port, struct frames_frame *ret);

/* The key of the packet's flow. */
struct sn_flow_key frames_flow_key(const struct frames_frame *frame,
				   uint32_t slot);
struct sn_fragment_key frames_fragment_key(const struct frames_frame *frame,
					   uint32_t slot);
void frames_print(const struct frames_frame *frame);
