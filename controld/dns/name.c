/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/name.h"

#include <arpa/inet.h>
#include <assert.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "controld/config/schema_value.h"
#include "shared/util.h"

enum {
	POINTER = 0xc0, /* RFC 1035 4.1.4: the two high bits of a pointer */
	HEADER_BYTES = 12, /* of a message; no name begins in it */
};

/* The wire form of a name that is being made. A label is begun with its length
 * unknown; the root's zero needs one byte more at the end. */
struct writer {
	struct cp_dns_name *name;
	size_t n; /* bytes written */
	size_t label; /* where the present label begins */
};

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Text. */

static int refuse(struct sn_diag *diag, const char *text, const char *why)
{
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];

	if (diag)
		sn_diag_set(diag, NULL, "'%s' %s",
			    cp_config_schema_value_show(text, shown), why);
	return CP_DNS_NAME_E_REFUSED;
}

static bool is_address(const char *text)
{
	uint8_t address[16];

	return inet_pton(AF_INET, text, address) == 1 ||
	       inet_pton(AF_INET6, text, address) == 1;
}

/* What an operator most likely meant by a byte that no name has. */
static const char *explain(unsigned char c)
{
	if (c == '*')
		return "has a '*'; give the name below it and `subdomains` "
		       "instead";
	if (c == ':')
		return "has a ':'; ports are given by `ports`, and addresses "
		       "by CIDR rules";
	if (c == '/')
		return "has a '/'; a name has no scheme and no path, and "
		       "prefixes are given by CIDR rules";
	if (c <= ' ' || c == 0x7f)
		return "has a space or control byte";
	return "has a byte that names do not have; if it is meant, write it "
	       "as \\DDD";
}

/* *text stands behind the backslash and is left behind the escape. */
static bool read_escape(const char **text, uint8_t *ret)
{
	const char *p = *text;
	unsigned int value = 0;

	if (*p < '0' || *p > '9') {
		if (*p < '!' || *p > '~')
			return false;
		*ret = (uint8_t)*p;
		*text = p + 1;
		return true;
	}
	for (unsigned int i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(p[i] - '0');
	}
	if (value > UINT8_MAX)
		return false;
	*ret = (uint8_t)value;
	*text = p + 3;
	return true;
}

static const char *put_byte(struct writer *writer, uint8_t c)
{
	if (writer->n - writer->label > CP_DNS_NAME_LABEL_MAX)
		return "has a label of over 63 bytes";
	if (writer->n >= CP_DNS_NAME_WIRE_MAX - 1)
		return "is longer than a name can be (253 bytes)";
	writer->name->wire[writer->n++] = lower(c);
	return NULL;
}

static const char *end_label(struct writer *writer)
{
	size_t size = writer->n - writer->label - 1;

	if (size == 0)
		return "has an empty label";
	writer->name->wire[writer->label] = (uint8_t)size;
	writer->label = writer->n++;
	return NULL;
}

/* ASCII text that is not "." to wire. Returns why not, or NULL. */
static const char *parse_ascii(const char *text, struct cp_dns_name *name)
{
	struct writer writer = { .name = name, .n = 1 };
	const char *why = NULL;
	uint8_t c;

	while (*text && !why) {
		c = (uint8_t)*text++;
		if (c == '.') {
			why = end_label(&writer);
			continue;
		}
		if (c == '\\') {
			if (!read_escape(&text, &c))
				return "has a '\\' that is no escape (\\DDD "
				       "up to 255, or \\X)";
		} else if (!is_plain(c)) {
			return explain(c);
		}
		why = put_byte(&writer, c);
	}
	/* A last dot has already begun the root's label. */
	if (!why && writer.n - writer.label > 1)
		why = end_label(&writer);
	if (why)
		return why;
	name->wire[writer.label] = 0;
	name->size = (uint8_t)writer.n;
	return NULL;
}

static int parse_international(const char *text, struct cp_dns_name *name,
			       struct sn_diag *diag)
{
	uint8_t *ascii = NULL;
	const char *why;
	int r;

	/* Escapes stand for bytes of the wire, which these names do not have
	 * before they are converted. */
	if (strchr(text, '\\'))
		return refuse(diag, text,
			      "mixes escapes and international letters; write "
			      "it in its xn-- form");
	r = idn2_lookup_u8((const uint8_t *)text, &ascii,
			   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK)
		return refuse(diag, text, idn2_strerror(r));
	if (is_address((const char *)ascii))
		why = "is an address; addresses are given by CIDR rules";
	else
		why = ascii[0] ? parse_ascii((const char *)ascii, name) :
				 "is empty";
	idn2_free(ascii);
	return why ? refuse(diag, text, why) : 0;
}

static bool is_ascii(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text > 0x7f)
			return false;
	}
	return true;
}

int cp_dns_name_parse(const char *text, struct cp_dns_name *ret,
		      struct sn_diag *diag)
{
	struct cp_dns_name name = { .size = 1 };
	const char *why;
	int r;

	if (!*text)
		return refuse(diag, text, "is empty");
	if (strnlen(text, CP_DNS_NAME_TEXT_BYTES) == CP_DNS_NAME_TEXT_BYTES)
		return refuse(diag, text, "is longer than a name can be");
	if (is_address(text))
		return refuse(diag, text,
			      "is an address; addresses are given by CIDR "
			      "rules");
	if (!is_ascii(text)) {
		r = parse_international(text, &name, diag);
		if (r)
			return r;
	} else if (strcmp(text, ".") != 0) {
		why = parse_ascii(text, &name);
		if (why)
			return refuse(diag, text, why);
	}
	*ret = name;
	return 0;
}

static char *put_escaped(char *p, uint8_t c)
{
	*p++ = '\\';
	*p++ = (char)('0' + c / 100);
	*p++ = (char)('0' + c / 10 % 10);
	*p++ = (char)('0' + c % 10);
	return p;
}

static void format(const struct cp_dns_name *name, bool escape_first,
		   char *buffer)
{
	char *p = buffer;

	for (size_t i = 0; name->wire[i]; i += 1u + name->wire[i]) {
		if (i > 0)
			*p++ = '.';
		for (size_t k = 1; k <= name->wire[i]; k++) {
			uint8_t c = name->wire[i + k];

			if (is_plain(c) && !(escape_first && p == buffer))
				*p++ = (char)c;
			else
				p = put_escaped(p, c);
		}
	}
	if (p == buffer)
		*p++ = '.';
	*p = '\0';
}

char *cp_dns_name_format(const struct cp_dns_name *name,
			 char buffer[CP_DNS_NAME_TEXT_BYTES])
{
	format(name, false, buffer);
	/* It would not be taken for a name when it is read again. */
	if (is_address(buffer))
		format(name, true, buffer);
	return buffer;
}

/* Messages. */

int cp_dns_name_read_cased(const uint8_t *message, size_t size, size_t offset,
			   struct cp_dns_name *ret, size_t *end)
{
	size_t at = offset;
	/* Each jump must go in front of the place from which the bytes since
	 * the last one were read, so that there are no loops. */
	size_t begin = offset;
	size_t behind = 0; /* the first pointer */
	size_t n = 0;

	for (;;) {
		uint8_t length;

		if (at >= size)
			return CP_DNS_NAME_E_REFUSED;
		length = message[at++];
		if ((length & POINTER) == POINTER) {
			if (at >= size)
				return CP_DNS_NAME_E_REFUSED;
			if (!behind)
				behind = at + 1;
			at = (size_t)(length & ~POINTER) << 8 | message[at];
			if (at >= begin || at < HEADER_BYTES)
				return CP_DNS_NAME_E_REFUSED;
			begin = at;
			continue;
		}
		if (length > CP_DNS_NAME_LABEL_MAX || length > size - at ||
		    n + 1 + length > CP_DNS_NAME_WIRE_MAX)
			return CP_DNS_NAME_E_REFUSED;
		ret->wire[n++] = length;
		if (length == 0)
			break;
		(void)memcpy(ret->wire + n, message + at, length);
		n += length;
		at += length;
	}
	ret->size = (uint8_t)n;
	if (end)
		*end = behind ? behind : at;
	return 0;
}

void cp_dns_name_lower(struct cp_dns_name *name)
{
	const uint64_t ones = ~0ULL / 0xff, high = ones << 7;
	uint64_t word, from_a, above_z;
	size_t i = 0;

	/* Lengths are below 'A', so that all bytes may be treated alike, eight
	 * at a time: the high bit of a byte of from_a is set from 'A' on, that
	 * of above_z behind 'Z'. */
	for (; i + sizeof(word) <= name->size; i += sizeof(word)) {
		(void)memcpy(&word, name->wire + i, sizeof(word));
		from_a = (word & ~high) + ones * (0x80 - 'A');
		above_z = (word & ~high) + ones * (0x7f - 'Z');
		word |= (from_a & ~above_z & ~word & high) >> 2;
		(void)memcpy(name->wire + i, &word, sizeof(word));
	}
	for (; i < name->size; i++)
		name->wire[i] = lower(name->wire[i]);
}

int cp_dns_name_read(const uint8_t *message, size_t size, size_t offset,
		     struct cp_dns_name *ret, size_t *end)
{
	int r = cp_dns_name_read_cased(message, size, offset, ret, end);

	if (r == 0)
		cp_dns_name_lower(ret);
	return r;
}

/* Names. */

bool cp_dns_name_is_equal(const struct cp_dns_name *a,
			  const struct cp_dns_name *b)
{
	return a->size == b->size && memcmp(a->wire, b->wire, a->size) == 0;
}

bool cp_dns_name_is_below(const struct cp_dns_name *name,
			  const struct cp_dns_name *ancestor)
{
	size_t i = 0;

	if (name->size < ancestor->size)
		return false;
	/* Equal ends count only where a label begins. */
	while (i < (size_t)(name->size - ancestor->size))
		i += 1u + name->wire[i];
	return i == (size_t)(name->size - ancestor->size) &&
	       memcmp(name->wire + i, ancestor->wire, ancestor->size) == 0;
}

int cp_dns_name_suffix(const struct cp_dns_name *name, unsigned int n)
{
	size_t i = 0;

	for (; n > 0; n--) {
		if (name->wire[i] == 0)
			return -1;
		i += 1u + name->wire[i];
	}
	return (int)i;
}

unsigned int cp_dns_name_count_labels(const struct cp_dns_name *name)
{
	unsigned int n = 0;

	for (size_t i = 0; name->wire[i]; i += 1u + name->wire[i])
		n++;
	return n;
}
