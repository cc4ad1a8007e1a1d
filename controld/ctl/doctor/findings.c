// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/findings.h"

#include <stdarg.h>

#include "controld/ctl/colour.h"
#include "controld/ctl/table.h"

enum {
	TEXT_BYTES = 1024,
};

static const char *const names[] = {
	[CP_CTL_DOCTOR_OK] = "ok",
	[CP_CTL_DOCTOR_WARN] = "warn",
	[CP_CTL_DOCTOR_FAIL] = "fail",
};

static const enum cp_ctl_colour colours[] = {
	[CP_CTL_DOCTOR_OK] = CP_CTL_COLOUR_GREEN,
	[CP_CTL_DOCTOR_WARN] = CP_CTL_COLOUR_YELLOW,
	[CP_CTL_DOCTOR_FAIL] = CP_CTL_COLOUR_RED,
};

static json_t *make_json(enum cp_ctl_doctor_grade grade, const char *subject,
			 const char *text, const char *next)
{
	return json_pack("{s:s,s:s,s:o,s:s}", "subject", subject, "result",
			 names[grade], "text", cp_ctl_output_text(text), "next",
			 next ? next : "");
}

void cp_ctl_doctor_findings_put(struct cp_ctl_doctor_findings *findings,
				enum cp_ctl_doctor_grade grade,
				const char *subject, const char *next,
				const char *format, ...)
{
	FILE *out = findings->session->out;
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)cp_ctl_table_clean(text);
	findings->n[grade]++;
	if (findings->session->options.json) {
		(void)cp_ctl_output_element_of(&findings->array,
					       make_json(grade, subject, text,
							 next));
		return;
	}
	cp_ctl_colour_begin(out, colours[grade]);
	(void)fprintf(out, "%-4s", names[grade]);
	cp_ctl_colour_end(out);
	(void)fprintf(out, "  %-13s  %s\n", subject, text);
	if (next)
		(void)fprintf(out, "      %-13s  -> %s\n", "", next);
}
