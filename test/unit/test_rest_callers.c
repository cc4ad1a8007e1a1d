/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/callers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controld/rest/throttle.h"
#include "test/unit/t.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define HASH  "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
/* Of "short". */
#define SHORT_HASH \
	"f9b0078b5df596d2ea19010c001bbd009e651de2c57e8fb7e355f31eb9d3f739"

static struct cp_rest_callers *parse_good(const char *text)
{
	struct cp_rest_callers *callers = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_rest_callers_parse(text, &callers, &diag), 0);
	t_str_eq(diag.text, "");
	return callers;
}

static void a_token_is_found_by_its_hash(void)
{
	sn_cleanup(cp_rest_callers_freep) struct cp_rest_callers *callers =
		parse_good("# who\n\n"
			   "  graf viewer token " HASH
			   " 2027-01-31T00:00:00Z\r\n"
			   "dep operator certificate " SHORT_HASH "\n");
	const struct cp_rest_callers_entry *entry =
		cp_rest_callers_find_token(callers, TOKEN);

	t_eq(cp_rest_callers_count(callers), 2);
	t_true(entry != NULL);
	t_str_eq(entry->name, "graf");
	t_eq(entry->role, CP_RPC_ROLE_VIEWER);
	t_eq(entry->until_s, 1801353600);
	t_true(!cp_rest_callers_find_token(callers, TOKEN "0"));
	t_true(!cp_rest_callers_find_token(callers, ""));
}

static void a_hash_is_of_one_kind(void)
{
	sn_cleanup(cp_rest_callers_freep) struct cp_rest_callers *callers =
		parse_good("a admin certificate " HASH "\n");
	sn_cleanup(cp_rest_callers_freep) struct cp_rest_callers *both =
		parse_good("a admin certificate " HASH "\n"
			   "b viewer token " HASH);

	t_true(!cp_rest_callers_find_token(callers, TOKEN));
	t_str_eq(cp_rest_callers_find_token(both, TOKEN)->name, "b");
}

static void a_short_token_is_refused_whatever_its_hash(void)
{
	sn_cleanup(cp_rest_callers_freep) struct cp_rest_callers *callers =
		parse_good("a admin token " SHORT_HASH "\n");

	t_true(!cp_rest_callers_find_token(callers, "short"));
}

static void lines_that_are_wrong_are_named(void)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "\na viewer token", "a line is" },
		{ "\na root token " HASH, "'root'" },
		{ "\na viewer cookie " HASH, "'cookie'" },
		{ "\na viewer token " TOKEN, "64 hex digits" },
		{ "\na viewer token " HASH "0", "64 hex digits" },
		{ "\na viewer token x" HASH, "64 hex digits" },
		{ "\n\xff viewer token " HASH, "a name has" },
		{ "\na viewer token " HASH " tomorrow", "tomorrow" },
		{ "\na viewer token " HASH " 2027-02-30T00:00:00Z", "no time" },
		{ "\na viewer token " HASH " 2027-01-30", "no time" },
		{ "\na viewer token " HASH " 2027-01-30T00:00:00Z x",
		  "too many words" },
		{ "b viewer token " HASH "\na admin token " HASH, "twice" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		struct cp_rest_callers *callers = NULL;
		struct sn_diag diag = { 0 };

		t_eq(cp_rest_callers_parse(cases[i].text, &callers, &diag),
		     CP_REST_CALLERS_E_REFUSED);
		t_true(!callers && strstr(diag.text, cases[i].why));
		t_eq(diag.line, 2);
		/* Somebody may have written the token itself. */
		t_true(!strstr(diag.text, TOKEN));
	}
}

static void callers_are_bounded(void)
{
	size_t size = (CP_REST_CALLERS_MAX + 1) * 100;
	sn_cleanup(sn_freep) char *text = calloc(1, size);
	struct cp_rest_callers *callers = NULL;
	struct sn_diag diag = { 0 };
	size_t n = 0;

	for (unsigned int i = 0; i <= CP_REST_CALLERS_MAX; i++)
		n += (size_t)snprintf(text + n, size - n,
				      "c%u viewer token %064x\n", i, i);
	t_eq(cp_rest_callers_parse(text, &callers, &diag),
	     CP_REST_CALLERS_E_REFUSED);
	t_true(strstr(diag.text, "more than 256") != NULL);
}

static void a_file_that_others_can_read_is_refused(void)
{
	static const struct {
		mode_t mode;
		int r;
	} cases[] = {
		{ 0600, 0 },
		{ 0640, 0 },
		{ 0400, 0 },
		{ 0644, CP_REST_CALLERS_E_REFUSED },
		{ 0660, CP_REST_CALLERS_E_REFUSED },
		{ 0602, CP_REST_CALLERS_E_REFUSED },
	};
	char path[] = "/tmp/test_rest_callers.XXXXXX";
	int fd = mkstemp(path);

	t_true(fd >= 0);
	t_true(write(fd, "a viewer token " HASH, 15 + 64) == 15 + 64);
	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(
			cp_rest_callers_freep) struct cp_rest_callers *callers =
			NULL;
		struct sn_diag diag = { 0 };

		t_eq(fchmod(fd, cases[i].mode), 0);
		t_eq(cp_rest_callers_load(path, &callers, &diag), cases[i].r);
		t_true((callers != NULL) == (cases[i].r == 0));
	}
	(void)unlink(path);
	(void)close(fd);
}

static const struct sockaddr *make_place(const char *text,
					 struct sockaddr_storage *ret)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	(void)memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
	} else {
		t_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
	}
	return (const struct sockaddr *)ret;
}

static void fail_often(struct cp_rest_throttle *throttle, const char *place,
		       uint64_t now_ms)
{
	struct sockaddr_storage from;

	for (int i = 0; i < CP_REST_THROTTLE_BURST; i++) {
		t_false(cp_rest_throttle_is_over(
			throttle, make_place(place, &from), now_ms));
		cp_rest_throttle_fail(throttle, make_place(place, &from),
				      now_ms);
	}
	t_true(cp_rest_throttle_is_over(throttle, make_place(place, &from),
					now_ms));
}

static void failures_of_one_place_are_limited_and_forgiven(void)
{
	static struct cp_rest_throttle throttle;
	struct sockaddr_storage from;
	uint64_t later = 1000 + CP_REST_THROTTLE_REFILL_MS;

	fail_often(&throttle, "192.0.2.1", 1000);
	t_false(cp_rest_throttle_is_over(&throttle,
					 make_place("192.0.2.2", &from), 1000));
	t_true(cp_rest_throttle_is_over(
		&throttle, make_place("::ffff:192.0.2.1", &from), 1000));
	t_true(cp_rest_throttle_is_over(
		&throttle, make_place("192.0.2.1", &from), later - 1));
	t_false(cp_rest_throttle_is_over(
		&throttle, make_place("192.0.2.1", &from), later));
	cp_rest_throttle_fail(&throttle, make_place("192.0.2.1", &from), later);
	t_true(cp_rest_throttle_is_over(&throttle,
					make_place("192.0.2.1", &from), later));
}

/* Unknown certificates are counted and never refused for their number. */
static void a_place_that_failed_for_long_is_forgiven_as_soon(void)
{
	static struct cp_rest_throttle throttle;
	struct sockaddr_storage from;

	fail_often(&throttle, "192.0.2.1", 1000);
	for (int i = 0; i < 10000; i++)
		cp_rest_throttle_fail(&throttle, make_place("192.0.2.1", &from),
				      1000);
	t_false(cp_rest_throttle_is_over(&throttle,
					 make_place("192.0.2.1", &from),
					 1000 + CP_REST_THROTTLE_REFILL_MS));
}

static void a_network_of_ipv6_is_one_place(void)
{
	static struct cp_rest_throttle throttle;
	struct sockaddr_storage from;

	fail_often(&throttle, "2001:db8::1", 0);
	t_true(cp_rest_throttle_is_over(
		&throttle, make_place("2001:db8::ffff:2", &from), 0));
	t_false(cp_rest_throttle_is_over(
		&throttle, make_place("2001:db8:0:1::1", &from), 0));
}

static void the_quietest_place_gives_way(void)
{
	static struct cp_rest_throttle throttle;
	struct sockaddr_storage from;
	char text[32];

	fail_often(&throttle, "192.0.2.1", 10);
	for (unsigned int i = 1; i < CP_REST_THROTTLE_PLACES; i++) {
		(void)snprintf(text, sizeof(text), "198.51.%u.%u", i >> 8,
			       i & 255);
		cp_rest_throttle_fail(&throttle, make_place(text, &from), 20);
	}
	t_true(cp_rest_throttle_is_over(&throttle,
					make_place("192.0.2.1", &from), 20));
	cp_rest_throttle_fail(&throttle, make_place("203.0.113.1", &from), 21);
	t_false(cp_rest_throttle_is_over(&throttle,
					 make_place("192.0.2.1", &from), 21));
}

T_MAIN("rest_callers", a_token_is_found_by_its_hash, a_hash_is_of_one_kind,
       a_short_token_is_refused_whatever_its_hash,
       lines_that_are_wrong_are_named, callers_are_bounded,
       a_file_that_others_can_read_is_refused,
       failures_of_one_place_are_limited_and_forgiven,
       a_place_that_failed_for_long_is_forgiven_as_soon,
       a_network_of_ipv6_is_one_place, the_quietest_place_gives_way)
