/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/schema_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/config/nearest.h"
#include "controld/config/units.h"

enum {
	NUMBER_BYTES = 32,
	NAMES_BYTES = 256, /* of an enum's names in a message */
};

#define SHOWN_BYTES CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES

char *cp_config_schema_value_show(const char *text, char buffer[SHOWN_BYTES])
{
	size_t i;

	for (i = 0; text[i] && i < SHOWN_BYTES - 1; i++)
		buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	buffer[i] = '\0';
	if (text[i])
		(void)memcpy(buffer + SHOWN_BYTES - 4, "...", 4);
	return buffer;
}

bool cp_config_schema_value_is_scalar(enum cp_config_schema_type type)
{
	return type <= CP_CONFIG_SCHEMA_TYPE_PATH;
}

const char *cp_config_schema_value_get_form(enum cp_config_schema_type type)
{
	switch (type) {
	case CP_CONFIG_SCHEMA_TYPE_BOOL:
		return "true or false";
	case CP_CONFIG_SCHEMA_TYPE_UINT:
		return "a whole number";
	case CP_CONFIG_SCHEMA_TYPE_SIZE:
		return "a size such as 512KiB (B, KiB, MiB, GiB, TiB)";
	case CP_CONFIG_SCHEMA_TYPE_DURATION:
		return "a duration such as 30s (ns, us, ms, s, m, h, d)";
	case CP_CONFIG_SCHEMA_TYPE_ENUM:
		return "one of its names";
	case CP_CONFIG_SCHEMA_TYPE_STRING:
		return "text";
	case CP_CONFIG_SCHEMA_TYPE_PATH:
		return "an absolute path";
	case CP_CONFIG_SCHEMA_TYPE_STRINGS:
		return "a list of texts";
	case CP_CONFIG_SCHEMA_TYPE_MAPPING:
		return "a mapping of options";
	case CP_CONFIG_SCHEMA_TYPE_SEQUENCE:
		return "a list of mappings";
	}
	return "?";
}

char *cp_config_schema_value_format(const struct cp_config_schema_item *item,
				    uint64_t value, char *buffer, size_t size)
{
	char text[CP_CONFIG_UNITS_TEXT_BYTES];

	if (item->type == CP_CONFIG_SCHEMA_TYPE_SIZE)
		(void)cp_config_units_format_size(value, text);
	else if (item->type == CP_CONFIG_SCHEMA_TYPE_DURATION)
		(void)cp_config_units_format_duration(value * item->unit_ns,
						      text);
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	(void)snprintf(buffer, size, "%s", text);
	return buffer;
}

static int refuse_form(const struct cp_config_schema_item *item,
		       const char *text, struct sn_diag *diag)
{
	char shown[SHOWN_BYTES];

	sn_diag_set(diag, NULL, "'%s' is not %s",
		    cp_config_schema_value_show(text, shown),
		    cp_config_schema_value_get_form(item->type));
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int refuse_range(const struct cp_config_schema_item *item,
			const char *text, struct sn_diag *diag)
{
	char shown[SHOWN_BYTES], least[NUMBER_BYTES], most[NUMBER_BYTES];

	(void)cp_config_schema_value_show(text, shown);
	(void)cp_config_schema_value_format(item, item->min, least,
					    sizeof(least));
	(void)cp_config_schema_value_format(item, item->max, most,
					    sizeof(most));
	if (item->max)
		sn_diag_set(diag, NULL, "%s is out of range, %s to %s", shown,
			    least, most);
	else if (item->min)
		sn_diag_set(diag, NULL, "%s is out of range, at least %s",
			    shown, least);
	else
		sn_diag_set(diag, NULL, "%s is too large", shown);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int put_bool(const struct cp_config_schema_item *item, const char *text,
		    void *field, struct sn_diag *diag)
{
	if (strcmp(text, "true") == 0)
		*(bool *)field = true;
	else if (strcmp(text, "false") == 0)
		*(bool *)field = false;
	else
		return refuse_form(item, text, diag);
	return 0;
}

static int parse_number(const struct cp_config_schema_item *item,
			const char *text, uint64_t *ret)
{
	if (item->type == CP_CONFIG_SCHEMA_TYPE_SIZE)
		return cp_config_units_parse_size(text, ret);
	if (item->type == CP_CONFIG_SCHEMA_TYPE_DURATION)
		return cp_config_units_parse_duration(text, ret);
	return cp_config_units_parse_uint(text, ret);
}

static int put_number(const struct cp_config_schema_item *item,
		      const char *text, void *field, struct sn_diag *diag)
{
	char unit[CP_CONFIG_UNITS_TEXT_BYTES], shown[SHOWN_BYTES];
	uint64_t value = 0;
	int r;

	r = parse_number(item, text, &value);
	if (r == CP_CONFIG_UNITS_E_SYNTAX)
		return refuse_form(item, text, diag);
	if (r == CP_CONFIG_UNITS_E_RANGE)
		return refuse_range(item, text, diag);
	if (item->type == CP_CONFIG_SCHEMA_TYPE_DURATION) {
		if (value % item->unit_ns != 0) {
			sn_diag_set(diag, NULL, "%s is not a multiple of %s",
				    cp_config_schema_value_show(text, shown),
				    cp_config_units_format_duration(
					    item->unit_ns, unit));
			return CP_CONFIG_SCHEMA_E_REFUSED;
		}
		value /= item->unit_ns;
	}
	if (value < item->min || (item->max && value > item->max))
		return refuse_range(item, text, diag);
	*(uint64_t *)field = value;
	return 0;
}

static int put_enum(const struct cp_config_schema_item *item, const char *text,
		    void *field, struct sn_diag *diag)
{
	char names[NAMES_BYTES] = "", shown[SHOWN_BYTES];
	const char *best = NULL;
	size_t used = 0;

	for (unsigned int i = 0; item->names[i]; i++) {
		if (strcmp(item->names[i], text) == 0) {
			*(unsigned int *)field = i;
			return 0;
		}
	}
	for (unsigned int i = 0; item->names[i]; i++) {
		int n = snprintf(names + used, sizeof(names) - used, "%s%s",
				 i ? ", " : "", item->names[i]);

		used = SN_MIN(used + (size_t)n, sizeof(names) - 1);
		cp_config_nearest_offer(text, item->names[i], &best);
	}
	(void)cp_config_schema_value_show(text, shown);
	if (best)
		sn_diag_set(diag, NULL,
			    "'%s' is not one of %s; did you mean '%s'?", shown,
			    names, best);
	else
		sn_diag_set(diag, NULL, "'%s' is not one of %s", shown, names);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int check_text(const struct cp_config_schema_item *item,
		      const char *text, struct sn_diag *diag)
{
	uint64_t max = item->max ? item->max : CP_CONFIG_SCHEMA_MAX_STRING;
	size_t length = strlen(text);

	if (length < item->min || length > max) {
		sn_diag_set(diag, NULL,
			    "is %zu bytes long, must be %" PRIu64
			    " to %" PRIu64,
			    length, item->min, max);
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p >= ' ' && *p != 0x7f)
			continue;
		sn_diag_set(diag, NULL, "contains a control character");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	if (item->type == CP_CONFIG_SCHEMA_TYPE_PATH && text[0] != '/')
		return refuse_form(item, text, diag);
	return 0;
}

static int put_text(const struct cp_config_schema_item *item, const char *text,
		    void *field, struct sn_diag *diag)
{
	char *copy;
	int r;

	r = check_text(item, text, diag);
	if (r)
		return r;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;

	sn_freep(field);
	*(char **)field = copy;
	return 0;
}

static int put_any(const struct cp_config_schema_item *item, const char *text,
		   void *field, struct sn_diag *diag)
{
	switch (item->type) {
	case CP_CONFIG_SCHEMA_TYPE_BOOL:
		return put_bool(item, text, field, diag);
	case CP_CONFIG_SCHEMA_TYPE_UINT:
	case CP_CONFIG_SCHEMA_TYPE_SIZE:
	case CP_CONFIG_SCHEMA_TYPE_DURATION:
		return put_number(item, text, field, diag);
	case CP_CONFIG_SCHEMA_TYPE_ENUM:
		return put_enum(item, text, field, diag);
	case CP_CONFIG_SCHEMA_TYPE_STRING:
	case CP_CONFIG_SCHEMA_TYPE_PATH:
		return put_text(item, text, field, diag);
	case CP_CONFIG_SCHEMA_TYPE_STRINGS:
	case CP_CONFIG_SCHEMA_TYPE_MAPPING:
	case CP_CONFIG_SCHEMA_TYPE_SEQUENCE:
		break;
	}
	return -EINVAL;
}

int cp_config_schema_value_put(const struct cp_config_schema_item *item,
			       const char *text, bool plain, void *field,
			       struct sn_diag *diag)
{
	int r;

	assert(cp_config_schema_value_is_scalar(item->type));
	if (!plain && (item->type == CP_CONFIG_SCHEMA_TYPE_BOOL ||
		       item->type == CP_CONFIG_SCHEMA_TYPE_UINT)) {
		sn_diag_set(diag, NULL, "must be %s, without quotes",
			    cp_config_schema_value_get_form(item->type));
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	r = put_any(item, text, field, diag);
	if (r)
		return r;
	return item->check ? item->check(field, diag) : 0;
}
