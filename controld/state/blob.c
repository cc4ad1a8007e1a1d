/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/blob.h"

#include <stdlib.h>

int cp_state_blob_new(struct cp_state_blob **ret,
		      enum cp_state_record_kind kind, const char *key,
		      const void *data, size_t size)
{
	size_t key_bytes = strnlen(key, CP_STATE_RECORD_KEY_MAX + 1);
	struct cp_state_blob *blob;

	if (key_bytes == 0 || key_bytes > CP_STATE_RECORD_KEY_MAX)
		return -EINVAL;
	blob = malloc(sizeof(*blob) + size);
	if (!blob)
		return -ENOMEM;
	blob->n_users = 1;
	blob->kind = kind;
	blob->size = size;
	(void)memcpy(blob->key, key, key_bytes + 1);
	if (size > 0)
		(void)memcpy(blob->data, data, size);
	*ret = blob;
	return 0;
}

struct cp_state_blob *cp_state_blob_share(struct cp_state_blob *blob)
{
	blob->n_users++;
	return blob;
}

struct cp_state_blob *cp_state_blob_free(struct cp_state_blob *blob)
{
	if (blob && --blob->n_users == 0)
		free(blob);
	return NULL;
}

struct cp_state_record cp_state_blob_record(const struct cp_state_blob *blob)
{
	return (struct cp_state_record){ .kind = blob->kind,
					 .key = blob->key,
					 .blob = blob->data,
					 .size = blob->size };
}
