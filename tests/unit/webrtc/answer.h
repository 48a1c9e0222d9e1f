#ifndef ANSWER_H
#define ANSWER_H

/** The answer to an offer's text, malloc'ed.
 *  @param lost         name of a codec that it does not take, NULL none
 *  @param refuses      mid of a section that it refuses, NULL none
 *  @param fingerprint  last two digits of the certificate's, which is ANSWER_FINGERPRINT else */
char *answer_to(const char *offer, const char *lost, const char *refuses, const char *setup, int fingerprint);
#define ANSWER_FINGERPRINT \
	"99:96:55:B8:4D:7A:4A:38:E6:53:B0:5E:EB:44:DB:49:8E:F9:C1:B1:05:1F:C3:23:F6:E3:DC:91:A9:A5:EA:"

#endif
