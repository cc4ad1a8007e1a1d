/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/name.h"

#include <ctype.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

bool cp_target_name_is_iface(const char *name)
{
	size_t bytes = strnlen(name, IF_NAMESIZE);

	if (bytes == 0 || bytes >= IF_NAMESIZE || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (name[i] == '/' || name[i] == ':' ||
		    isspace((unsigned char)name[i]))
			return false;
	return true;
}

bool cp_target_name_is_cgroup(const char *path)
{
	if (path[0] != '/' || strnlen(path, PATH_MAX) >= PATH_MAX)
		return false;
	while (*path == '/') {
		size_t bytes = strcspn(++path, "/");

		if (bytes == 0 || bytes > NAME_MAX ||
		    (bytes == 1 && path[0] == '.') ||
		    (bytes == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += bytes;
	}
	return true;
}

size_t cp_target_name_parent(const char *path, size_t bytes)
{
	while (bytes > 1 && path[bytes - 1] != '/')
		bytes--;
	return bytes > 1 ? bytes - 1 : 1;
}
