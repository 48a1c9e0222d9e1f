/* secrets: keys and certificates, read from the files the configuration names. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "daemon/gateway.h"

int mu_secrets_keyring(const struct mu_config *c, struct mu_keyring **ret, struct mu_error *e)
{
	struct mu_keyring *k;
	struct mu_error why = { .text = "" };
	int err = mu_keyring_new(&k);

	if (err < 0)
		return mu_error_set(e, err, "out of memory for keys");
	for (unsigned i = 0; i < c->auth.keys.n && err == 0; i++) {
		err = mu_keyring_add_file(k, c->auth.keys.items[i], &why);
		if (err < 0)
			mu_error_set(e, err, "auth.keys: %s: %.200s", c->auth.keys.items[i],
				why.text[0] ? why.text : strerror(-err));
	}
	if (err < 0)
		mu_keyring_free(k);
	else
		*ret = k;
	return err;
}

/* Without this OpenSSL would ask on the terminal for the passphrase of an encrypted key, and the start would
 * hang. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return 0;
}

int mu_secrets_check_tls(const struct mu_config *c, struct mu_error *e)
{
	SSL_CTX *ctx;
	int err = 0;

	if (!c->http.certificate)
		return 0;
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return mu_error_set(e, -ENOMEM, "out of memory for TLS");
	ERR_clear_error(); /* below, the first of a pile says what is wrong; the last, only which part of
			      OpenSSL met it */
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, c->http.certificate) != 1)
		err = mu_error_set(e, -EINVAL, "http.certificate: %s is not a PEM certificate: %s",
			c->http.certificate, ERR_reason_error_string(ERR_peek_error()));
	else if (SSL_CTX_use_PrivateKey_file(ctx, c->http.key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		err = mu_error_set(e, -EINVAL,
			"http.key: %s is not the PEM key (without passphrase) of %s: %s", c->http.key,
			c->http.certificate, ERR_reason_error_string(ERR_peek_error()));
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return err;
}
