/* http: the three requests a WHIP or WHEP client makes. Blocking, with a limit of some seconds: this is a tool. */
#ifndef CAMERA_HTTP_H
#define CAMERA_HTTP_H

struct http_reply {
	long status;	/* 0: no answer; body then says why */
	char *body;	/* malloc'ed, never NULL */
	char *location; /* malloc'ed, absolute; NULL none */
};
void http_reply_done(struct http_reply *r);
/** POST an offer. @param token  Bearer token, NULL none */
void http_post_sdp(const char *url, const char *token, const char *sdp, struct http_reply *ret);
void http_delete(const char *url, const char *token, struct http_reply *ret);

#endif
