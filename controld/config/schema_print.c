/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/schema_print.h"

#include <inttypes.h>
#include <string.h>

#include "controld/config/schema_value.h"

enum {
	NAME_BYTES = 256, /* of a dotted option name */
	NUMBER_BYTES = 32,
};

static const char *get_type_name(enum cp_config_schema_type type)
{
	switch (type) {
	case CP_CONFIG_SCHEMA_TYPE_BOOL:
		return "true or false";
	case CP_CONFIG_SCHEMA_TYPE_UINT:
		return "number";
	case CP_CONFIG_SCHEMA_TYPE_SIZE:
		return "size";
	case CP_CONFIG_SCHEMA_TYPE_DURATION:
		return "duration";
	case CP_CONFIG_SCHEMA_TYPE_ENUM:
		return "one of";
	case CP_CONFIG_SCHEMA_TYPE_STRING:
		return "text";
	case CP_CONFIG_SCHEMA_TYPE_PATH:
		return "absolute path";
	case CP_CONFIG_SCHEMA_TYPE_STRINGS:
		return "list of texts";
	case CP_CONFIG_SCHEMA_TYPE_MAPPING:
		return "mapping";
	case CP_CONFIG_SCHEMA_TYPE_SEQUENCE:
		return "list of mappings";
	}
	return "?";
}

static const char *get_range_suffix(enum cp_config_schema_type type)
{
	if (type == CP_CONFIG_SCHEMA_TYPE_STRING ||
	    type == CP_CONFIG_SCHEMA_TYPE_PATH)
		return " bytes";
	if (type == CP_CONFIG_SCHEMA_TYPE_STRINGS ||
	    type == CP_CONFIG_SCHEMA_TYPE_SEQUENCE)
		return " elements";
	return "";
}

static void print_range(FILE *out, const struct cp_config_schema_item *item)
{
	const char *suffix = get_range_suffix(item->type);
	char least[NUMBER_BYTES], most[NUMBER_BYTES];

	(void)cp_config_schema_value_format(item, item->min, least,
					    sizeof(least));
	(void)cp_config_schema_value_format(item, item->max, most,
					    sizeof(most));
	if (item->max)
		(void)fprintf(out, ", %s to %s%s", least, most, suffix);
	else if (item->min)
		(void)fprintf(out, ", at least %s%s", least, suffix);
}

static void print_option(FILE *out, const struct cp_config_schema_item *item,
			 const char *name)
{
	(void)fprintf(out, "%s: %s", name, get_type_name(item->type));
	if (item->type == CP_CONFIG_SCHEMA_TYPE_ENUM)
		for (size_t i = 0; item->names[i]; i++)
			(void)fprintf(out, "%s%s", i ? ", " : " ",
				      item->names[i]);
	else
		print_range(out, item);
	if (item->required)
		(void)fputs(", required", out);
	if (item->fallback)
		(void)fprintf(out, ", default %s", item->fallback);
	if (item->type != CP_CONFIG_SCHEMA_TYPE_MAPPING)
		(void)fputs(item->reloadable ? ", reloadable" :
					       ", needs a restart",
			    out);
	(void)fprintf(out, "\n\t%s\n\n", item->description);
}

static void print_items(FILE *out, const struct cp_config_schema_item *items,
			const char *above)
{
	for (const struct cp_config_schema_item *item = items; item->key;
	     item++) {
		bool list = item->type == CP_CONFIG_SCHEMA_TYPE_SEQUENCE;
		char name[NAME_BYTES];

		(void)snprintf(name, sizeof(name), "%s%s%s%s", above,
			       above[0] ? "." : "", item->key,
			       list ? "[]" : "");
		print_option(out, item, name);
		if (item->items)
			print_items(out, item->items, name);
	}
}

int cp_config_schema_print(FILE *out, const struct cp_config_schema_item *items)
{
	print_items(out, items, "");
	return ferror(out) ? -EIO : 0;
}
