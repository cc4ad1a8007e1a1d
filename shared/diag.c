/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_cut(char *text, size_t size, int wanted)
{
	if (wanted >= 0 && (size_t)wanted >= size)
		(void)memcpy(text + size - 4, "...", 4);
}

void sn_diag_set(struct sn_diag *diag, const char *field, const char *format,
		 ...)
{
	va_list args;
	int n;

	n = snprintf(diag->field, sizeof(diag->field), "%s",
		     field ? field : "");
	mark_cut(diag->field, sizeof(diag->field), n);
	va_start(args, format);
	n = vsnprintf(diag->text, sizeof(diag->text), format, args);
	va_end(args);
	mark_cut(diag->text, sizeof(diag->text), n);
}

void sn_diag_at(struct sn_diag *diag, const char *file, unsigned int line)
{
	int n;

	n = snprintf(diag->file, sizeof(diag->file), "%s", file ? file : "");
	mark_cut(diag->file, sizeof(diag->file), n);
	diag->line = line;
}

char *sn_diag_format(const struct sn_diag *diag, char *buffer, size_t size)
{
	int n;

	if (diag->file[0] && diag->line)
		n = snprintf(buffer, size, "%s:%u: %s", diag->file, diag->line,
			     diag->text);
	else if (diag->file[0])
		n = snprintf(buffer, size, "%s: %s", diag->file, diag->text);
	else
		n = snprintf(buffer, size, "%s", diag->text);
	mark_cut(buffer, size, n);
	return buffer;
}
