#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
int main(void) {
  char line[4096];
  size_t n = fread(line, 1, sizeof line - 1, stdin);
  line[n] = 0;
  if (!strcmp(line, "bad")) { fprintf(stderr, "cannot shout `bad`\n"); return 65; }
  if (!strcmp(line, "abort")) { fprintf(stderr, "giving up\n"); abort(); }
  for (size_t i = 0; i < n; i++) line[i] = toupper((unsigned char)line[i]);
  fwrite(line, 1, n, stdout);
  return 0;
}
