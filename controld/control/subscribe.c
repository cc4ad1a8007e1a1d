/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/remote.h"
#include "controld/control/internal.h"
#include "shared/log.h"

struct cp_control_wait {
	TAILQ_ENTRY(cp_control_wait) entry;
	struct cp_control *control;
	char id[CP_ATTACH_ID_CHARS + 1];
	uint64_t until_ms; /* of the loop's clock; 0: the time is over */
	unsigned int n_words; /* being applied */
	bool is_ending; /* it is rolled back */
};

static void time_over(uv_timer_t *timer);

static struct cp_control_wait *find(struct cp_control *control, const char *id)
{
	struct cp_control_wait *wait;

	TAILQ_FOREACH(wait, &control->waits, entry)
		if (strcmp(wait->id, id) == 0)
			return wait;
	return NULL;
}

static void drop(struct cp_control_wait *wait)
{
	TAILQ_REMOVE(&wait->control->waits, wait, entry);
	free(wait);
}

static void arm(struct cp_control *control)
{
	uint64_t now_ms = uv_now(control->options.loop);
	const struct cp_control_wait *wait;

	TAILQ_FOREACH(wait, &control->waits, entry) {
		if (!wait->until_ms)
			continue;
		(void)uv_timer_start(
			&control->wait_timer, time_over,
			wait->until_ms > now_ms ? wait->until_ms - now_ms : 0,
			0);
		return;
	}
}

static void put_text(const struct cp_control *control, char *text, size_t size)
{
	(void)snprintf(
		text, size, "the control plane did not answer within %llu ms",
		(unsigned long long)control->options.subscribe_timeout_ms);
}

static void stay_closed(struct cp_control *control, const char *id)
{
	sn_log(SN_LOG_WARNING,
	       "control id=%s unanswered: it stays closed until the control "
	       "plane states a policy",
	       id);
	cp_attach_remote_answer(control->options.manager, id, CP_ATTACH_CODE_OK,
				"");
}

/* What was to become of it could not be done, with sentinel-dp away perhaps:
 * it waits once more, and so does who attached it. */
static void try_again(struct cp_control *control,
		      const struct cp_attach_result *result)
{
	const struct cp_attach_item *item =
		cp_attach_get(control->options.manager, result->id);
	struct cp_control_wait *wait = find(control, result->id);

	if (wait)
		drop(wait);
	if (!item || !cp_attach_remote_is_held(item) || control->is_stopping)
		return;
	sn_log(SN_LOG_ERROR,
	       "control id=%s error='%s': it stays closed; this is tried again "
	       "after %llu ms",
	       result->id, result->diag.text,
	       (unsigned long long)control->options.subscribe_timeout_ms);
	cp_control_subscribe_add(control, item);
}

static void released(void *userdata, const struct cp_attach_result *result)
{
	if (result->code != CP_ATTACH_CODE_OK)
		try_again(userdata, result);
}

/* Before the attachment is gone, so that whoever waits learns why. */
static void rolled_back(void *userdata, const struct cp_attach_result *result)
{
	struct cp_control *control = userdata;
	char text[128];

	put_text(control, text, sizeof(text));
	if (result->code == CP_ATTACH_CODE_OK)
		cp_attach_remote_answer(control->options.manager, result->id,
					CP_ATTACH_CODE_PRECONDITION, text);
	else
		try_again(control, result);
}

static void give_up(struct cp_control_wait *wait)
{
	struct cp_control *control = wait->control;
	struct cp_attach *manager = control->options.manager;
	int r = 0;

	switch (control->options.unanswered) {
	case CP_CONTROL_UNANSWERED_CLOSED:
		stay_closed(control, wait->id);
		break;
	case CP_CONTROL_UNANSWERED_LOCAL:
		sn_log(SN_LOG_WARNING,
		       "control id=%s unanswered: its local policy takes "
		       "effect",
		       wait->id);
		r = cp_attach_remote_release(manager, wait->id, released,
					     control);
		break;
	case CP_CONTROL_UNANSWERED_ROLLBACK:
		sn_log(SN_LOG_WARNING, "control id=%s unanswered: detached",
		       wait->id);
		wait->is_ending = true;
		wait->until_ms = 0;
		r = cp_attach_remove(manager, wait->id, rolled_back, control);
		if (r == 0)
			return;
		break;
	}
	if (r < 0)
		stay_closed(control, wait->id);
	drop(wait);
}

/* Its time is over, unless it need not wait any more. */
static void settle(struct cp_control_wait *wait)
{
	const struct cp_attach_item *item =
		cp_attach_get(wait->control->options.manager, wait->id);

	if (!item || !cp_attach_remote_is_held(item))
		drop(wait);
	else if (wait->n_words > 0)
		wait->until_ms = 0;
	else
		give_up(wait);
}

static void time_over(uv_timer_t *timer)
{
	struct cp_control *control = timer->data;
	uint64_t now_ms = uv_now(control->options.loop);
	struct cp_control_wait *wait, *next;

	for (wait = TAILQ_FIRST(&control->waits); wait; wait = next) {
		next = TAILQ_NEXT(wait, entry);
		if (wait->until_ms > now_ms)
			break;
		if (wait->until_ms)
			settle(wait);
	}
	arm(control);
}

int cp_control_subscribe_init(struct cp_control *control)
{
	struct cp_attach *manager = control->options.manager;
	const struct cp_attach_item *item;
	struct cp_attach_info info;

	TAILQ_INIT(&control->waits);
	(void)uv_timer_init(control->options.loop, &control->wait_timer);
	control->wait_timer.data = control;
	/* Those that waited when the daemon ended. */
	for (item = cp_attach_get_next(manager, NULL); item;
	     item = cp_attach_get_next(manager, info.id)) {
		cp_attach_info_get(item, &info);
		if (cp_attach_remote_is_held(item))
			cp_control_subscribe_add(control, item);
	}
	return 0;
}

void cp_control_subscribe_add(struct cp_control *control,
			      const struct cp_attach_item *item)
{
	struct cp_control_wait *wait = calloc(1, sizeof(*wait));
	struct cp_attach_info info;

	cp_attach_info_get(item, &info);
	if (!wait) {
		stay_closed(control, info.id);
		return;
	}
	wait->control = control;
	(void)snprintf(wait->id, sizeof(wait->id), "%s", info.id);
	uv_update_time(control->options.loop);
	wait->until_ms = uv_now(control->options.loop) +
			 control->options.subscribe_timeout_ms;
	TAILQ_INSERT_TAIL(&control->waits, wait, entry);
	if (!uv_is_active((uv_handle_t *)&control->wait_timer))
		arm(control);
}

void cp_control_subscribe_begin(struct cp_control *control, const char *id)
{
	struct cp_control_wait *wait = find(control, id);

	if (wait)
		wait->n_words++;
}

void cp_control_subscribe_end(struct cp_control *control, const char *id,
			      bool is_applied)
{
	struct cp_control_wait *wait = find(control, id);

	if (!wait || wait->n_words == 0)
		return;
	wait->n_words--;
	if (is_applied && !wait->is_ending)
		drop(wait);
	else if (!wait->is_ending && wait->n_words == 0 && wait->until_ms == 0)
		settle(wait);
}

bool cp_control_subscribe_forget(struct cp_control *control, const char *id)
{
	struct cp_control_wait *wait = find(control, id);
	bool is_ending = wait && wait->is_ending;

	if (wait)
		drop(wait);
	return is_ending;
}

void cp_control_subscribe_done(struct cp_control *control)
{
	struct cp_control_wait *wait;

	while ((wait = TAILQ_FIRST(&control->waits)))
		drop(wait);
}
