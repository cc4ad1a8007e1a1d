/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever the text of rules is: loading ends with a set, or with a refusal that
 * has a text and a place. Whatever events are (the part of the input behind a NUL,
 * each a packed message behind its size): the set judges them, what it hits is
 * wanted of the kernel too, and its text is UTF-8 without control characters. */

#include <string.h>

#include "controld/rpc/message.h"
#include "controld/rpc/utf8.h"
#include "controld/rules/view.h"
#include "shared/runtime.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct judging {
	const struct cp_rules *rules;
	const Sentinel__V1__RuntimeEvent *event;
	size_t next; /* rules are hit in their order */
};

static void look_at_text(const char *text)
{
	size_t size = strlen(text);

	ensure(size < CP_RULES_STATE_TEXT_BYTES, "text is too long");
	for (size_t i = 0; i < size;) {
		size_t n =
			cp_rpc_utf8_length((const uint8_t *)text + i, size - i);

		ensure(n > 0, "text is no UTF-8");
		ensure((unsigned char)text[i] >= ' ' && text[i] != 0x7f,
		       "text has a control character");
		i += n;
	}
}

static void look_at_hit(void *userdata, const struct cp_rules_hit *hit)
{
	struct judging *judging = userdata;
	const struct cp_rules_rule *rule;
	size_t event = 1;

	ensure(hit->rule >= judging->next, "hits are not in order");
	judging->next = hit->rule + 1;
	ensure(hit->rule < cp_rules_count(judging->rules), "no such rule");
	rule = cp_rules_get(judging->rules, hit->rule);
	while (strcmp(sn_runtime_events[event].name, judging->event->event) !=
	       0)
		event++;
	ensure(rule->enabled && rule->events & SN_RT_EVENT_BIT(event),
	       "a rule of another event, or none in force");
	ensure(hit->count >= 1, "a hit of nothing");
	look_at_text(hit->text);
}

static const Sentinel__V1__RuntimeProcess *
get_parent(void *userdata, const Sentinel__V1__RuntimeProcess *process)
{
	const struct judging *judging = userdata;

	ensure(process == judging->event->process, "of another process");
	return process->uid % 2 ? process : NULL;
}

/* None to more than are looked at, by the address. */
static bool get_name(void *userdata, const struct cp_policy_cidr *address,
		     size_t n, struct cp_dns_name *ret)
{
	static const char *const names[] = { "good.test", "a.good.test", "." };

	(void)userdata;
	ensure(cp_policy_cidr_is_host(address), "of a network");
	ensure(n <= CP_RULES_VIEW_NAMES_MAX, "too many names");
	return n < address->address[3] % 80 &&
	       cp_dns_name_parse(names[n % 3], ret, NULL) == 0;
}

static void judge(struct cp_rules_state *state, const uint8_t *data,
		  size_t size, uint64_t now_ns)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct judging judging = { .rules = cp_rules_state_get(state) };
	struct cp_rules_subject subject = { .get_parent = get_parent,
					    .get_name = get_name,
					    .userdata = &judging };
	struct sn_diag diag;

	if (cp_rpc_message_unpack_answer(
		    &sentinel__v1__runtime_event__descriptor, data, size,
		    &message, &diag))
		return;
	judging.event = (const void *)message;
	subject.event = judging.event;
	(void)cp_rules_state_judge(state, &subject, now_ns, look_at_hit,
				   &judging);
}

static void judge_all(struct cp_rules *rules, const uint8_t *data, size_t size)
{
	struct cp_rules_state *state = NULL;
	uint64_t now_ns = 0;

	ensure(cp_rules_state_new(&state, rules) == 0, "no state");
	while (size > 2) {
		size_t n = (size_t)data[0] << 8 | data[1];

		n = SN_MIN(n, size - 2);
		judge(state, data + 2, n, now_ns);
		now_ns += SN_NS_PER_S / 4;
		data += 2 + n;
		size -= 2 + n;
		/* What was counted goes on under the same names. */
		ensure(cp_rules_state_put(state, rules) == 0, "no reload");
	}
	(void)cp_rules_state_free(state);
}

static void look_at_wanted(const struct cp_rules *rules)
{
	struct cp_runtime_rules *wanted = NULL;
	struct sn_diag diag = { .text = "" };
	size_t n_enabled = 0;
	int r;

	ensure(cp_runtime_rules_new(&wanted) == 0, "no memory");
	r = cp_rules_put_wanted(rules, wanted, NULL, &diag);
	/* Values were judged when they were read, by what judges them here. */
	ensure(r == 0 || (r == CP_RULES_E_FULL && diag.text[0]), diag.text);
	for (size_t i = 0; i < cp_rules_count(rules); i++)
		n_enabled += cp_rules_get(rules, i)->enabled;
	ensure(r != 0 || cp_runtime_rules_count(wanted) == n_enabled,
	       "a rule is not wanted");
	ensure(r != 0 || cp_runtime_rules_events(wanted) ==
				 cp_rules_events(rules),
	       "other events are wanted");
	(void)cp_runtime_rules_free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t n = end ? (size_t)(end - data) : size;
	struct sn_diag diag = { .text = "" };
	struct cp_rules *rules = NULL;
	int r = cp_rules_load(&rules, (const char *)data, n, "x", &diag);

	if (r) {
		ensure(r == CP_RULES_E_REFUSED, "a failure");
		ensure(diag.text[0] && strcmp(diag.file, "x") == 0,
		       "a refusal without a reason or place");
		return 0;
	}
	look_at_wanted(rules);
	if (end)
		judge_all(rules, end + 1, size - n - 1);
	(void)cp_rules_unref(rules);
	return 0;
}
