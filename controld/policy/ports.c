// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/ports.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/config/nearest.h"
#include "controld/config/schema_value.h"
#include "shared/util.h"

enum {
	TEXT_MAX = 23, /* longer ones are no spec of ours */
};

static const struct {
	const char *name;
	uint8_t protocol;
	bool has_ports;
} protocols[] = {
	{ "icmp", IPPROTO_ICMP, false }, { "tcp", IPPROTO_TCP, true },
	{ "udp", IPPROTO_UDP, true },	 { "dccp", IPPROTO_DCCP, true },
	{ "gre", IPPROTO_GRE, false },	 { "esp", IPPROTO_ESP, false },
	{ "ah", IPPROTO_AH, false },	 { "icmp6", IPPROTO_ICMPV6, false },
	{ "sctp", IPPROTO_SCTP, true },	 { "udplite", IPPROTO_UDPLITE, true },
};

bool cp_policy_ports_has_ports(uint8_t protocol)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(protocols); i++) {
		if (protocols[i].protocol == protocol)
			return protocols[i].has_ports;
	}
	return false;
}

static const char *protocol_name(uint8_t protocol)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(protocols); i++) {
		if (protocols[i].protocol == protocol)
			return protocols[i].name;
	}
	return NULL;
}

static bool is_number(const char *text)
{
	return *text >= '0' && *text <= '9';
}

/* Decimal digits only, at most max, without leading zeros; else false. */
static bool parse_number(const char *text, size_t n, unsigned int max,
			 unsigned int *ret)
{
	unsigned int value = 0;

	if (n == 0 || n > 5 || (n > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	*ret = value;
	return value <= max;
}

static int refuse(const char *text, const char *why, struct sn_diag *diag)
{
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];

	sn_diag_set(diag, NULL, "'%s' %s",
		    cp_config_schema_value_show(text, shown), why);
	return CP_POLICY_PORTS_E_REFUSED;
}

static int parse_protocol(const char *whole, const char *name, uint8_t *ret,
			  struct sn_diag *diag)
{
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];
	const char *best = NULL;

	for (size_t i = 0; i < SN_ARRAY_SIZE(protocols); i++) {
		if (strcmp(protocols[i].name, name) == 0) {
			*ret = protocols[i].protocol;
			return 0;
		}
		cp_config_nearest_offer(name, protocols[i].name, &best);
	}
	if (!best)
		return refuse(whole,
			      "is not a port or protocol such as 443/tcp, "
			      "8000-8100/udp, 53, icmp or proto/47",
			      diag);
	sn_diag_set(diag, NULL,
		    "'%s' names no known protocol; did you mean "
		    "'%s'?",
		    cp_config_schema_value_show(whole, shown), best);
	return CP_POLICY_PORTS_E_REFUSED;
}

/* "proto/N": a protocol by its number, ports cannot be given. */
static int parse_protocol_number(const char *text, struct cp_policy_ports *ret,
				 struct sn_diag *diag)
{
	const char *number = text + strlen("proto/");
	unsigned int value = 0;

	if (!parse_number(number, strlen(number), 255, &value) || value == 0)
		return refuse(text,
			      "is not a protocol from proto/1 to "
			      "proto/255",
			      diag);
	*ret = (struct cp_policy_ports){
		.protocol = (uint8_t)value,
		.high = UINT16_MAX,
	};
	return 0;
}

static int parse_range(const char *text, struct cp_policy_ports *ret,
		       struct sn_diag *diag)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	const char *dash = memchr(text, '-', n);
	size_t n_low = dash ? (size_t)(dash - text) : n;
	unsigned int low = 0, high = 0;
	uint8_t protocol = 0;
	int r;

	if (!parse_number(text, n_low, UINT16_MAX, &low))
		return refuse(text, "has no port from 1 to 65535", diag);
	high = low;
	if (dash && !parse_number(dash + 1, n - n_low - 1, UINT16_MAX, &high))
		return refuse(text, "has no port from 1 to 65535 after '-'",
			      diag);
	if (low == 0 || high == 0)
		return refuse(text, "names port 0, which no packet is sent to",
			      diag);
	if (high < low)
		return refuse(text, "has its ports in reverse order", diag);
	if (slash) {
		r = parse_protocol(text, slash + 1, &protocol, diag);
		if (r)
			return r;
		if (!cp_policy_ports_has_ports(protocol))
			return refuse(text,
				      "gives a port to a protocol that has "
				      "none",
				      diag);
	}
	*ret = (struct cp_policy_ports){
		.low = (uint16_t)low,
		.high = (uint16_t)high,
		.protocol = protocol,
	};
	return 0;
}

int cp_policy_ports_parse(const char *text, struct cp_policy_ports *ret,
			  struct sn_diag *diag)
{
	uint8_t protocol = 0;
	int r;

	if (strnlen(text, TEXT_MAX + 1) > TEXT_MAX)
		return refuse(text, "is too long for a port or protocol", diag);
	if (is_number(text))
		return parse_range(text, ret, diag);
	if (strncmp(text, "proto/", strlen("proto/")) == 0)
		return parse_protocol_number(text, ret, diag);
	r = parse_protocol(text, text, &protocol, diag);
	if (r)
		return r;
	*ret = (struct cp_policy_ports){
		.protocol = protocol,
		.high = UINT16_MAX,
	};
	return 0;
}

/* Inserts at the sorted place; false if the spec is there already. */
static bool insert(struct cp_policy_ports *list, size_t n,
		   const struct cp_policy_ports *ports)
{
	size_t i = n;

	for (; i > 0; i--) {
		int order = cp_policy_ports_compare(&list[i - 1], ports);

		if (order == 0)
			return false;
		if (order < 0)
			break;
	}
	(void)memmove(&list[i + 1], &list[i], (n - i) * sizeof(*list));
	list[i] = *ports;
	return true;
}

int cp_policy_ports_parse_list(const char *const *texts, size_t n_texts,
			       struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			       uint8_t *n, size_t *index, struct sn_diag *diag)
{
	struct cp_policy_ports list[CP_POLICY_PORTS_MAX + 1];
	struct cp_policy_ports ports;
	int r;

	for (size_t i = 0; i < n_texts; i++) {
		*index = i;
		if (i >= CP_POLICY_PORTS_MAX) {
			sn_diag_set(diag, NULL,
				    "a rule may have %d ports and protocols at "
				    "most; give the rest to another rule",
				    CP_POLICY_PORTS_MAX);
			return CP_POLICY_PORTS_E_REFUSED;
		}
		r = cp_policy_ports_parse(texts[i], &ports, diag);
		if (r)
			return r;
		if (!insert(list, i, &ports))
			return refuse(texts[i], "is given twice", diag);
	}
	(void)memcpy(ret, list, n_texts * sizeof(*list));
	*n = (uint8_t)n_texts;
	return 0;
}

char *cp_policy_ports_format(const struct cp_policy_ports *ports,
			     char buffer[CP_POLICY_PORTS_TEXT_BYTES])
{
	const char *name = protocol_name(ports->protocol);
	int n;

	if (ports->low == 0) {
		if (name)
			(void)snprintf(buffer, CP_POLICY_PORTS_TEXT_BYTES, "%s",
				       name);
		else
			(void)snprintf(buffer, CP_POLICY_PORTS_TEXT_BYTES,
				       "proto/%u", ports->protocol);
		return buffer;
	}
	n = snprintf(buffer, CP_POLICY_PORTS_TEXT_BYTES, "%u", ports->low);
	if (ports->high != ports->low)
		n += snprintf(buffer + n,
			      CP_POLICY_PORTS_TEXT_BYTES - (size_t)n, "-%u",
			      ports->high);
	if (name)
		(void)snprintf(buffer + n,
			       CP_POLICY_PORTS_TEXT_BYTES - (size_t)n, "/%s",
			       name);
	return buffer;
}

char *cp_policy_ports_format_list(const struct cp_policy_ports *ports,
				  uint8_t n,
				  char buffer[CP_POLICY_PORTS_LIST_BYTES])
{
	char one[CP_POLICY_PORTS_TEXT_BYTES];
	size_t size = CP_POLICY_PORTS_LIST_BYTES, at = 0;

	(void)snprintf(buffer, size, "any");
	for (uint8_t i = 0; i < n; i++) {
		(void)snprintf(buffer + at, size - at, "%s%s", i ? "," : "",
			       cp_policy_ports_format(&ports[i], one));
		at += strlen(buffer + at);
	}
	return buffer;
}

int cp_policy_ports_compare(const struct cp_policy_ports *a,
			    const struct cp_policy_ports *b)
{
	if (a->protocol != b->protocol)
		return (int)a->protocol - (int)b->protocol;
	if (a->low != b->low)
		return (int)a->low - (int)b->low;
	return (int)a->high - (int)b->high;
}

bool cp_policy_ports_match(const struct cp_policy_ports *ports,
			   uint8_t protocol, uint16_t remote_port)
{
	if (ports->protocol && ports->protocol != protocol)
		return false;
	if (ports->low == 0 && ports->high == UINT16_MAX)
		return true;
	return cp_policy_ports_has_ports(protocol) &&
	       remote_port >= ports->low && remote_port <= ports->high;
}
