#ifndef MU_TEST_ADAPT_CHECK_H
#define MU_TEST_ADAPT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "adapt/adapt.h"
#include "rtp/rtp.h"

#define FCI_AT 12 /* in a feedback message: behind the common header and two SSRCs */

#endif
