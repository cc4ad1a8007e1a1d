/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/web/web.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "controld/rest/rest.h"
#include "shared/util.h"

enum { TAG_BYTES = 24 };

#define JAVASCRIPT "text/javascript; charset=utf-8"

/* Names that workloads chose are on the page. It makes text of them; were it
 * to make markup, this would keep the browser from running it, from fetching
 * anything elsewhere, and from sending anything anywhere. */
#define SECURITY                                                    \
	"default-src 'none'; script-src 'self'; style-src 'self'; " \
	"img-src 'self'; connect-src 'self'; base-uri 'none'; "     \
	"form-action 'none'; frame-ancestors 'none'; "              \
	"require-trusted-types-for 'script'; trusted-types 'none'"

/* WEB_FILE(symbol, file, path, type) */
#define WEB_FILES(WEB_FILE)                                               \
	WEB_FILE(page, "page.html", "/", "text/html; charset=utf-8")      \
	WEB_FILE(style, "page.css", "/web/page.css",                      \
		 "text/css; charset=utf-8")                               \
	WEB_FILE(icon, "icon.svg", "/web/icon.svg", "image/svg+xml")      \
	WEB_FILE(script, "page.js", "/web/page.js", JAVASCRIPT)           \
	WEB_FILE(api, "api.js", "/web/api.js", JAVASCRIPT)                \
	WEB_FILE(attachments, "attachments.js", "/web/attachments.js",    \
		 JAVASCRIPT)                                              \
	WEB_FILE(chart, "chart.js", "/web/chart.js", JAVASCRIPT)          \
	WEB_FILE(events, "events.js", "/web/events.js", JAVASCRIPT)       \
	WEB_FILE(findings, "findings.js", "/web/findings.js", JAVASCRIPT) \
	WEB_FILE(rates, "rates.js", "/web/rates.js", JAVASCRIPT)          \
	WEB_FILE(status, "status.js", "/web/status.js", JAVASCRIPT)       \
	WEB_FILE(text, "text.js", "/web/text.js", JAVASCRIPT)

/* The assembler puts the file between two labels; the build is made to know of
 * it in the Makefile. */
#define EMBED(symbol, file, path, type)                \
	__asm__(".pushsection .rodata\n"               \
		"web_" #symbol ":\n"                   \
		".incbin \"controld/web/" file "\"\n"  \
		"web_" #symbol "_end:\n"               \
		".byte 0\n"                            \
		".popsection\n");                      \
	extern const char web_##symbol[]               \
		__attribute__((visibility("hidden"))); \
	extern const char web_##symbol##_end[]         \
		__attribute__((visibility("hidden")));
WEB_FILES(EMBED)

/* FNV-1a: tells versions apart, nothing more. */
static void put_tag(const struct cp_rest_page *page, char ret[TAG_BYTES])
{
	const unsigned char *bytes = page->data;
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < page->size; i++)
		hash = (hash ^ bytes[i]) * 1099511628211ULL;
	(void)snprintf(ret, TAG_BYTES, "\"%016" PRIx64 "\"", hash);
}

const struct cp_rest_page *cp_web_get_pages(size_t *n)
{
#define ROW(symbol, file, where, what)       \
	{                                    \
		.path = where,               \
		.type = what,                \
		.data = web_##symbol,        \
		.security_policy = SECURITY, \
	},
	static struct cp_rest_page pages[] = { WEB_FILES(ROW) };
#undef ROW
#define SIZE(symbol, file, path, type) \
	(size_t)(web_##symbol##_end - web_##symbol),
	const size_t sizes[] = { WEB_FILES(SIZE) };
#undef SIZE
	static char tags[SN_ARRAY_SIZE(pages)][TAG_BYTES];

	for (size_t i = 0; i < SN_ARRAY_SIZE(pages); i++) {
		pages[i].size = sizes[i];
		put_tag(&pages[i], tags[i]);
		pages[i].tag = tags[i];
	}
	*n = SN_ARRAY_SIZE(pages);
	return pages;
}
