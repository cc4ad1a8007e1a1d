// SPDX-License-Identifier: Apache-2.0
#include "controld/rpc/utf8.h"

#include "test/unit/t.h"

static void becomes(const char *bytes, size_t size, const char *wanted)
{
	char text[64];
	bool is_changed = false;

	t_true(CP_RPC_UTF8_ROOM(size) <= sizeof(text));
	t_eq(cp_rpc_utf8_copy(bytes, size, text, &is_changed), strlen(wanted));
	t_str_eq(text, wanted);
	t_eq(is_changed,
	     strlen(wanted) != size || memcmp(wanted, bytes, size) != 0);
}

#define BECOMES(bytes, wanted) becomes(bytes, sizeof(bytes) - 1, wanted)
#define BAD		       "\xef\xbf\xbd"

static void well_formed_text_stays(void)
{
	BECOMES("", "");
	BECOMES("plain\n\x7f", "plain\n\x7f");
	BECOMES("\xc2\x80 \xdf\xbf", "\xc2\x80 \xdf\xbf");
	BECOMES("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80",
		"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80");
	BECOMES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
		"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

/* RFC 3629, section 4: no long forms, no surrogates, nothing over U+10FFFF. */
static void each_wrong_byte_is_replaced(void)
{
	BECOMES("a\xff"
		"b",
		"a" BAD "b");
	BECOMES("\x80", BAD);
	BECOMES("\xc0\xaf", BAD BAD);
	BECOMES("\xe0\x9f\xbf", BAD BAD BAD);
	BECOMES("\xed\xa0\x80", BAD BAD BAD);
	BECOMES("\xf4\x90\x80\x80", BAD BAD BAD BAD);
	BECOMES("\xf5\x80", BAD BAD);
	BECOMES("nul\0nul", "nul" BAD "nul");
}

static void sequence_that_is_cut_is_replaced_and_not_read_beyond(void)
{
	BECOMES("x\xc3", "x" BAD);
	BECOMES("x\xe2\x82", "x" BAD BAD);
	BECOMES("x\xf0\x9f\x98", "x" BAD BAD BAD);
	BECOMES("\xe2\x82z", BAD BAD "z");
}

T_MAIN("rpc_utf8", well_formed_text_stays, each_wrong_byte_is_replaced,
       sequence_that_is_cut_is_replaced_and_not_read_beyond)
