/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON values as YAML, by libyaml's emitter. */

#include <jansson.h>
#include <stdio.h>

/* One document without markers. What is written one after the other with
 * is_element is one sequence. 0, -ENOMEM or -EIO. */
int cp_ctl_yaml_write(FILE *out, const json_t *value, int is_element);
