/* The modules below the daemon, as it sees them: they note in which order they are called, and with what. */
#ifndef TEST_DAEMON_FAKES_H
#define TEST_DAEMON_FAKES_H

#include "daemon/gateway.h"

struct fakes {
	char calls[1024];  /* "media+ directory+ ..." */
	const char *fail;  /* name of the module whose new fails */
	unsigned sessions; /* of webrtc */
	bool deaf;         /* sessions do not end when told */
	bool hung;         /* workers do not answer */
	struct mu_inbox *control;
	enum mu_srtp_profile profiles[4];
	struct mu_transport_options media;
	struct mu_webrtc_options webrtc;
	struct mu_api_options api;
	struct mu_conference_limits conferences;
	char kept[200]; /* path of the conferences' file */
	unsigned stats_asked;
	int keyrings;     /* alive */
	size_t keys_left; /* in the ring that sessions were held against */
};
extern struct fakes fakes;

#endif
