/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a parser or checker tells the operator about refused input. */

#include <stddef.h>

enum {
	SN_DIAG_FILE_BYTES = 256,
	SN_DIAG_TEXT_BYTES = 512,
};

/* file: where the input came from, or empty. line: 1-based, 0 if there is no
 * line. field: the dotted name of the refused field for API callers, or
 * empty. text: one sentence without a final full stop. All NUL-terminated;
 * longer input is cut and ends in "...". */
struct sn_diag {
	char file[SN_DIAG_FILE_BYTES];
	unsigned int line;
	char field[SN_DIAG_FILE_BYTES];
	char text[SN_DIAG_TEXT_BYTES];
};

/* Sets field (may be NULL) and text; keeps file and line. */
void sn_diag_set(struct sn_diag *diag, const char *field, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

/* Sets file and line; keeps field and text. */
void sn_diag_at(struct sn_diag *diag, const char *file, unsigned int line);

/* Writes "file:line: text" (or what of it there is) to buffer, always
 * NUL-terminated. Returns buffer. */
char *sn_diag_format(const struct sn_diag *diag, char *buffer, size_t size);
