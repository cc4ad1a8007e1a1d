/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/svcb.h"

#include "controld/dns/name.h"
#include "controld/dns/wire.h"

enum {
	PRIORITY_BYTES = 2,
	PARAM_HEADER_BYTES = 4,
};

size_t cp_dns_svcb_hint_bytes(uint16_t key)
{
	if (key == CP_DNS_SVCB_KEY_IPV4HINT)
		return 4;
	return key == CP_DNS_SVCB_KEY_IPV6HINT ? 16 : 0;
}

/* The end of the target, which is never compressed; 0: it has none. */
static size_t skip_target(const uint8_t *rdata, size_t size)
{
	size_t at = PRIORITY_BYTES;

	while (at < size && rdata[at] != 0) {
		if (rdata[at] > CP_DNS_NAME_LABEL_MAX)
			return 0;
		at += 1u + rdata[at];
	}
	if (at >= size || at + 1 - PRIORITY_BYTES > CP_DNS_NAME_WIRE_MAX)
		return 0;
	return at + 1;
}

/* Checks one parameter; false: it is malformed. */
static bool is_sound(const struct cp_dns_svcb_param *param)
{
	size_t bytes = cp_dns_svcb_hint_bytes(param->key);

	if (param->key == CP_DNS_SVCB_KEY_MANDATORY)
		bytes = 2;
	return bytes == 0 || (param->size > 0 && param->size % bytes == 0);
}

bool cp_dns_svcb_read(const uint8_t *rdata, size_t size,
		      struct cp_dns_svcb *ret)
{
	struct cp_dns_svcb_param param;
	int last = -1;
	size_t cursor = 0;

	*ret = (struct cp_dns_svcb){ .rdata = rdata, .size = size };
	if (size < PRIORITY_BYTES)
		return false;
	ret->is_alias = cp_dns_wire_get16(rdata) == 0;
	ret->params = skip_target(rdata, size);
	if (ret->params == 0)
		return false;
	while (cp_dns_svcb_next(ret, &cursor, &param)) {
		if (param.key <= last || !is_sound(&param))
			return false;
		last = param.key;
	}
	return ret->params + cursor == size;
}

bool cp_dns_svcb_next(const struct cp_dns_svcb *svcb, size_t *cursor,
		      struct cp_dns_svcb_param *ret)
{
	const uint8_t *p = svcb->rdata + svcb->params + *cursor;
	size_t left = svcb->size - svcb->params - *cursor;

	if (left < PARAM_HEADER_BYTES)
		return false;
	ret->key = cp_dns_wire_get16(p);
	ret->size = cp_dns_wire_get16(p + 2);
	ret->value = p + PARAM_HEADER_BYTES;
	if (ret->size > left - PARAM_HEADER_BYTES)
		return false;
	*cursor += PARAM_HEADER_BYTES + (size_t)ret->size;
	return true;
}

bool cp_dns_svcb_needs(const struct cp_dns_svcb *svcb, uint16_t key)
{
	struct cp_dns_svcb_param param;
	size_t cursor = 0;

	/* The keys rise, so it would be the first. */
	if (!cp_dns_svcb_next(svcb, &cursor, &param) ||
	    param.key != CP_DNS_SVCB_KEY_MANDATORY)
		return false;
	for (size_t i = 0; i + 2 <= param.size; i += 2) {
		if (cp_dns_wire_get16(param.value + i) == key)
			return true;
	}
	return false;
}
