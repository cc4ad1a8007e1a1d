/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/view.h"

#include <arpa/inet.h>
#include <string.h>

#include "controld/rules/set.h"
#include "controld/runtime/judge.h"
#include "shared/runtime.h"

/* By length and first letter there are two at most. */
static enum sn_rt_event find_event(const char *name)
{
	for (size_t i = SN_RT_EVENT_NONE + 1; i < SN_RT_EVENT_COUNT; i++) {
		if (sn_runtime_events[i].name[0] == name[0] &&
		    strcmp(sn_runtime_events[i].name, name) == 0)
			return (enum sn_rt_event)i;
	}
	return SN_RT_EVENT_NONE;
}

bool cp_rules_view_set(struct cp_rules_view *view,
		       const struct cp_rules_subject *subject)
{
	view->subject = subject;
	view->event = subject->event;
	view->process = subject->event->process;
	view->ready = 0;
	view->has_parent = false;
	view->has_address = false;
	view->has_names = false;
	view->parent = NULL;
	if (!view->process)
		return false;
	view->kind = find_event(subject->event->event);
	return view->kind != SN_RT_EVENT_NONE;
}

const Sentinel__V1__RuntimeProcess *
cp_rules_view_get_parent(struct cp_rules_view *view)
{
	const struct cp_rules_subject *subject = view->subject;

	if (!view->has_parent && subject->get_parent)
		view->parent =
			subject->get_parent(subject->userdata, view->process);
	view->has_parent = true;
	return view->parent;
}

static void put_bound(struct cp_rules_text *text, uint64_t hash, size_t size)
{
	if (text->n_bounds < SN_ARRAY_SIZE(text->bounds))
		text->bounds[text->n_bounds++] =
			(struct cp_rules_bound){ hash, size };
}

static void hash_text(struct cp_rules_text *text)
{
	bool is_path = text->size > 0 && text->at[0] == '/';
	uint64_t hash = SN_RT_HASH_FIRST;

	if (is_path && text->size == 1)
		text->size = 0;
	for (size_t i = 0; i < text->size; i++) {
		if (is_path && text->at[i] == '/')
			put_bound(text, hash, i);
		hash = sn_rt_hash(hash, (uint8_t)text->at[i]);
	}
	if (is_path)
		put_bound(text, hash, text->size);
	text->hash = hash;
}

/* What a file's path is to rules: see controld/runtime/judge.c. */
static void put_file(const Sentinel__V1__RuntimeFile *file, char *room,
		     struct cp_rules_text *ret)
{
	if (!file || file->text)
		return;
	ret->at = file->path;
	ret->size = strlen(file->path);
	if (file->raw_path.len > 0) {
		ret->at = (const char *)file->raw_path.data;
		ret->size = file->raw_path.len;
	}
	if (ret->size == 0 && !file->cut && file->inode == 0)
		return;
	ret->known = CP_RULES_KNOWN_NOT;
	if (ret->size == 0 || (file->cut && file->as_passed) ||
	    (room && ret->size > SN_RT_PATH_MAX)) {
		ret->at = NULL;
		return;
	}
	if (file->cut)
		return;
	ret->known = CP_RULES_KNOWN_YES;
	if (file->as_passed && room) {
		ret->size = cp_runtime_judge_clean(
			(struct cp_runtime_bytes){ ret->at, ret->size }, room);
		ret->at = room;
	}
	hash_text(ret);
}

static void put_executable(const Sentinel__V1__RuntimeProcess *process,
			   struct cp_rules_text *ret)
{
	put_file(process->executable, NULL, ret);
	if (ret->known == CP_RULES_KNOWN_ABSENT)
		ret->known = CP_RULES_KNOWN_NOT;
}

static void put_text(const char *text, struct cp_rules_text *ret)
{
	ret->known = CP_RULES_KNOWN_YES;
	ret->at = text;
	ret->size = strlen(text);
	hash_text(ret);
}

static void put_cgroup(const Sentinel__V1__RuntimeProcess *process,
		       struct cp_rules_text *ret)
{
	/* Of one that was cut the beginning is missing. */
	if (process->cgroup[0] == '/')
		put_text(process->cgroup, ret);
	else
		ret->known = CP_RULES_KNOWN_NOT;
}

static void put_given(const char *text, struct cp_rules_text *ret)
{
	if (text[0])
		put_text(text, ret);
}

static void put(struct cp_rules_view *view, enum cp_rules_source source,
		struct cp_rules_text *ret)
{
	const Sentinel__V1__RuntimeProcess *parent;

	switch (source) {
	case CP_RULES_SOURCE_FILE:
		put_file(view->event->file, view->file, ret);
		break;
	case CP_RULES_SOURCE_TARGET:
		put_file(view->event->target, view->target, ret);
		break;
	case CP_RULES_SOURCE_EXECUTABLE:
		put_executable(view->process, ret);
		break;
	case CP_RULES_SOURCE_CGROUP:
		put_cgroup(view->process, ret);
		break;
	case CP_RULES_SOURCE_COMM:
		put_text(view->process->comm, ret);
		break;
	case CP_RULES_SOURCE_CALL:
		put_given(view->event->call, ret);
		break;
	case CP_RULES_SOURCE_NAMESPACE:
		put_given(view->process->namespace_, ret);
		break;
	case CP_RULES_SOURCE_POD:
		put_given(view->process->pod, ret);
		break;
	case CP_RULES_SOURCE_PARENT_COMM:
		parent = cp_rules_view_get_parent(view);
		if (parent)
			put_text(parent->comm, ret);
		break;
	case CP_RULES_SOURCE_PARENT_EXECUTABLE:
		parent = cp_rules_view_get_parent(view);
		if (parent)
			put_file(parent->executable, NULL, ret);
		break;
	case CP_RULES_SOURCE_COUNT:
		break;
	}
}

const struct cp_rules_text *cp_rules_view_get(struct cp_rules_view *view,
					      enum cp_rules_source source)
{
	struct cp_rules_text *text = &view->texts[source];

	if (view->ready & 1U << source)
		return text;
	view->ready |= 1U << source;
	text->known = CP_RULES_KNOWN_ABSENT;
	text->at = NULL;
	text->size = 0;
	text->n_bounds = 0;
	put(view, source, text);
	return text;
}

/* An IPv4 address that is written as one of IPv6 is that of IPv4. */
static bool read_address(const char *text, struct cp_policy_cidr *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint8_t bytes[16];

	*ret = (struct cp_policy_cidr){ .family = SN_FAMILY_IPV4,
					.length = 32 };
	if (inet_pton(AF_INET, text, ret->address) == 1)
		return true;
	if (inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		(void)memcpy(ret->address, bytes + sizeof(mapped), 4);
		return true;
	}
	ret->family = SN_FAMILY_IPV6;
	ret->length = 128;
	(void)memcpy(ret->address, bytes, sizeof(bytes));
	return true;
}

const struct cp_policy_cidr *
cp_rules_view_get_address(struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeAddress *address =
		view->kind == SN_RT_EVENT_NET_BIND ? view->event->local :
						     view->event->remote;

	if (!view->has_address)
		view->is_address = address && read_address(address->address,
							   &view->address);
	view->has_address = true;
	return view->is_address ? &view->address : NULL;
}

static bool get_name(struct cp_rules_view *view, size_t n,
		     struct cp_dns_name *ret)
{
	const struct cp_rules_subject *subject = view->subject;
	const struct cp_policy_cidr *host = cp_rules_view_get_address(view);

	return host && subject->get_name(subject->userdata, host, n, ret);
}

const struct cp_rules_view_names *
cp_rules_view_get_names(struct cp_rules_view *view)
{
	struct cp_rules_view_names *names = &view->names;
	struct cp_dns_name more;

	if (view->has_names)
		return names;
	view->has_names = true;
	names->n = 0;
	names->is_cut = false;
	if (view->kind != SN_RT_EVENT_NET_CONNECT || !view->subject->get_name)
		return names;
	while (names->n < CP_RULES_VIEW_NAMES_MAX &&
	       get_name(view, names->n, &names->names[names->n]))
		names->n++;
	names->is_cut = names->n == CP_RULES_VIEW_NAMES_MAX &&
			get_name(view, names->n, &more);
	return names;
}
