/* secrets: keys and certificates, read from the files the configuration names. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

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

/* --- what clients show TURN servers --- */

#define LINE_MAX_LEN 256 /* RFC 8489, section 14.3: fewer than 509 bytes for a name; nobody types that many */

static bool readable(const char *line)
{
	if (!*line)
		return false;
	for (; *line; line++) {
		if (*line < 0x20 || *line > 0x7e)
			return false;
	}
	return true;
}

/* The one line of a file. What it holds is never said. */
static int read_line(const char *option, const char *path, char **ret, struct mu_error *e)
{
	char text[LINE_MAX_LEN + 2] = "";
	int fd, err = 0;
	ssize_t n;

	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n < 0)
		err = mu_error_set(e, -errno, "%s: %s cannot be read: %s", option, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (err < 0)
		return err;
	if (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	if (n > LINE_MAX_LEN || strlen(text) != (size_t)n || !readable(text))
		err = mu_error_set(e, -EINVAL, "%s: %s must hold one line of 1 to %d plain ASCII characters and nothing else",
			option, path, LINE_MAX_LEN);
	else if (!(*ret = strdup(text)))
		err = mu_error_set(e, -ENOMEM, "out of memory for %s", option);
	explicit_bzero(text, sizeof(text));
	return err;
}

int mu_secrets_ice(const struct mu_config *c, struct mu_ice_secrets *ret, struct mu_error *e)
{
	struct mu_ice_secrets s = { .secret = NULL };
	int err = read_line("ice.secret_file", c->ice.secret_file, &s.secret, e);

	if (err == 0)
		err = read_line("ice.username_file", c->ice.username_file, &s.username, e);
	if (err == 0)
		err = read_line("ice.password_file", c->ice.password_file, &s.password, e);
	if (err < 0)
		mu_secrets_ice_done(&s);
	else
		*ret = s;
	return err;
}

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void mu_secrets_ice_done(struct mu_ice_secrets *s)
{
	wipe(&s->secret);
	wipe(&s->username);
	wipe(&s->password);
}
