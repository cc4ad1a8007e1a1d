/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/container.h"

#include <stdbool.h>
#include <string.h>

#include "shared/util.h"

enum {
	ID_DIGITS = CP_RUNTIME_CONTAINER_ID_BYTES - 1,
	UUID_DIGITS = CP_RUNTIME_CONTAINER_POD_BYTES - 1,
	MANIFEST_DIGITS = 32,
};

/* A part of the path. */
struct text {
	const char *at;
	size_t size;
};

/* Names that engines give to a container's scope under systemd, and podman to
 * its folder without. Helpers that run beside a container have names of their
 * own (crio-conmon-ID.scope), which are not the container's. */
static const struct {
	const char *prefix;
	const char *engine;
} scopes[] = {
	{ "docker-", "docker" },      { "cri-containerd-", "containerd" },
	{ "nerdctl-", "containerd" }, { "crio-", "cri-o" },
	{ "libpod-", "podman" },
};

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_id(struct text text)
{
	if (text.size != ID_DIGITS)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (!is_hex(text.at[i]))
			return false;
	}
	return true;
}

static bool take_prefix(struct text *text, const char *prefix)
{
	size_t n = strlen(prefix);

	if (text->size < n || memcmp(text->at, prefix, n) != 0)
		return false;
	text->at += n;
	text->size -= n;
	return true;
}

static bool take_suffix(struct text *text, const char *suffix)
{
	size_t n = strlen(suffix);

	if (text->size < n || memcmp(text->at + text->size - n, suffix, n) != 0)
		return false;
	text->size -= n;
	return true;
}

/* to has room for one byte more than text may have here. */
static void put(char *to, struct text text)
{
	(void)memcpy(to, text.at, text.size);
	to[text.size] = '\0';
}

static bool read_scope(struct text name, struct cp_runtime_container *ret)
{
	(void)take_suffix(&name, ".scope");
	for (size_t i = 0; i < SN_ARRAY_SIZE(scopes); i++) {
		struct text rest = name;

		if (!take_prefix(&rest, scopes[i].prefix) || !is_id(rest))
			continue;
		put(ret->id, rest);
		(void)strcpy(ret->engine, scopes[i].engine);
		return true;
	}
	return false;
}

/* LXC lets its users choose names; one that is too long is no id. */
static bool read_lxc(struct text name, struct cp_runtime_container *ret)
{
	if (!take_prefix(&name, "lxc.payload.") || name.size == 0 ||
	    name.size > ID_DIGITS)
		return false;
	put(ret->id, name);
	(void)strcpy(ret->engine, "lxc");
	return true;
}

/* Without systemd the folder is the id: docker's under /docker, and a pod's
 * containers under the pod. */
static bool read_plain(struct text name, struct text parent,
		       struct cp_runtime_container *ret)
{
	bool is_docker = parent.size == strlen("docker") &&
			 memcmp(parent.at, "docker", parent.size) == 0;

	if (!is_id(name) || (!is_docker && !ret->pod_uid[0]))
		return false;
	put(ret->id, name);
	if (is_docker)
		(void)strcpy(ret->engine, "docker");
	return true;
}

/* text: a UUID whose groups are divided by - or, where systemd needs that one
 * for its own, by _; or a manifest's hash. */
static bool read_uid(struct text text, char uid[CP_RUNTIME_CONTAINER_POD_BYTES])
{
	if (text.size != UUID_DIGITS && text.size != MANIFEST_DIGITS)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		bool is_break = text.size == UUID_DIGITS &&
				(i == 8 || i == 13 || i == 18 || i == 23);
		char c = text.at[i];

		if (is_break ? c != '-' && c != '_' : !is_hex(c))
			return false;
	}
	put(uid, text);
	for (size_t i = 0; uid[i]; i++) {
		if (uid[i] == '_')
			uid[i] = '-';
	}
	return true;
}

/* "podUID", or a slice "kubepods-burstable-podUID.slice". */
static bool read_pod(struct text name, struct cp_runtime_container *ret)
{
	struct text rest = name;

	if (take_suffix(&rest, ".slice")) {
		for (size_t i = rest.size; i > 0; i--) {
			if (rest.at[i - 1] != '-')
				continue;
			rest.at += i;
			rest.size -= i;
			break;
		}
	}
	return take_prefix(&rest, "pod") && read_uid(rest, ret->pod_uid);
}

void cp_runtime_container_read(const char *path, size_t size,
			       struct cp_runtime_container *ret)
{
	struct text parent = { path, 0 };

	(void)memset(ret, 0, sizeof(*ret));
	for (size_t at = 0; at < size && !ret->id[0];) {
		const char *end = memchr(path + at, '/', size - at);
		struct text name = { path + at,
				     end ? (size_t)(end - path) - at :
					   size - at };

		at += name.size + 1;
		if (name.size == 0)
			continue;
		if (!ret->pod_uid[0] && read_pod(name, ret))
			continue;
		if (!read_scope(name, ret) && !read_lxc(name, ret))
			(void)read_plain(name, parent, ret);
		parent = name;
	}
}
