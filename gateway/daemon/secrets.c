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

#define ICE_SECRET_MIN 16
#define ICE_SECRET_MAX 255

/* The first line, without the blanks around it. */
static int read_line(const char *path, char line[ICE_SECRET_MAX + 3], struct mu_error *e)
{
	FILE *f = fopen(path, "re");
	int err = 0;

	if (!f)
		return mu_error_set(e, -errno, "ice.secret: %s: %s", path, strerror(errno));
	if (!fgets(line, ICE_SECRET_MAX + 3, f))
		line[0] = '\0';
	fclose(f);
	g_strstrip(line);
	if (strlen(line) < ICE_SECRET_MIN || strlen(line) > ICE_SECRET_MAX)
		err = mu_error_set(e, -EINVAL,
			"ice.secret: the first line of %s must be a secret of %d to %d characters: make one with openssl rand -hex 32, and "
			"give it to the TURN server as static-auth-secret",
			path, ICE_SECRET_MIN, ICE_SECRET_MAX);
	return err;
}

int mu_secrets_ice(const struct mu_config *c, char **ret, struct mu_error *e)
{
	char line[ICE_SECRET_MAX + 3];
	int err;

	*ret = NULL;
	if (!c->ice.secret)
		return 0;
	err = read_line(c->ice.secret, line, e);
	if (err == 0)
		*ret = g_strdup(line);
	explicit_bzero(line, sizeof(line));
	return err;
}

void mu_secrets_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}
