/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The web page: files of this folder, in the program itself, so that nothing is
 * read at run time. It only reads, by the calls that everybody has
 * (controld/rest/rest.h), and knows nothing that they do not tell. */

#include <stddef.h>

struct cp_rest_page;

/* Constant, once it was called; on the loop's thread. */
const struct cp_rest_page *cp_web_get_pages(size_t *n);
