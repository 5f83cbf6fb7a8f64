/* Implements disperse.h for workers. A part of disperse.c, not compiled by itself. */

bool exports_guest_handle(guest_action_t *action, guest_list_u8_t *ret, guest_failure_t *err) {
  const char *kind = TAKEN(action->kind).data;
  disperse_result result = disperse_handle(kind, TAKEN(action->payload));
  switch (result.verdict) {
  case DISPERSE_OK: *ret = given(result.bytes); break;
  case DISPERSE_PERMANENT:
    err->tag = DISPERSE_GUEST_TYPES_FAILURE_PERMANENT;
    err->val.permanent = given_text(result.bytes);
    break;
  case DISPERSE_BUSY:
    err->tag = DISPERSE_GUEST_TYPES_FAILURE_BUSY;
    err->val.busy = result.ms;
    break;
  case DISPERSE_UNFIT:
    err->tag = DISPERSE_GUEST_TYPES_FAILURE_UNFIT;
    err->val.unfit = given_text(result.bytes);
    break;
  default:
    err->tag = DISPERSE_GUEST_TYPES_FAILURE_RETRYABLE;
    err->val.retryable = given_text(result.bytes);
  }
  let_go();
  return result.verdict == DISPERSE_OK;
}

disperse_attempt_info disperse_attempt(void) {
  disperse_guest_attempt_info_t info;
  disperse_guest_attempt_current(&info);
  return (disperse_attempt_info){TAKEN(info.action).data, info.number, info.remaining, TAKEN(info.worker).data};
}

void disperse_report_quota(const char *bucket, uint32_t remaining, uint32_t resets) {
  guest_string_t name = given_text(disperse_text(bucket));
  disperse_guest_quota_report_t report = {name, remaining, resets};
  disperse_guest_quota_update(&report);
  free(name.ptr);
}

static disperse_response no_response(const char *problem, const char *message) {
  return (disperse_response){.problem = problem, .message = message, .body = disperse_text("")};
}

disperse_response disperse_fetch(const disperse_request *request) {
  static const char *const problems[] = {"denied", "invalid", "timeout", "unreachable", "oversize"};
  size_t count = request->headers_count;
  bool texts = is_text(request->verb) && is_text(request->url);
  for (size_t i = 0; i < count; i++)
    texts = texts && is_text(request->headers[i].name) && is_text(request->headers[i].value);
  if (!texts) return no_response("invalid", "the verb, the URL or a header is not UTF-8");
  disperse_guest_http_types_header_t *lines = scratch(count, sizeof *lines);
  for (size_t i = 0; i < count; i++) {
    lines[i].name = lent_text(request->headers[i].name);
    lines[i].value = lent_text(request->headers[i].value);
  }
  disperse_guest_http_request_t asked = {
      lent_text(request->verb), lent_text(request->url), {lines, count}, lent(request->body), request->timeout};
  disperse_guest_http_response_t answer;
  disperse_guest_http_problem_t problem;
  bool ok = disperse_guest_http_fetch(&asked, &answer, &problem);
  free(lines);
  if (!ok) return no_response(problems[problem.tag], TAKEN(problem.val.denied).data);
  disperse_header *headers = room(answer.headers.len, sizeof *headers);
  for (size_t i = 0; i < answer.headers.len; i++) {
    headers[i].name = TAKEN(answer.headers.ptr[i].name).data;
    headers[i].value = TAKEN(answer.headers.ptr[i].value).data;
  }
  if (answer.headers.len) free(answer.headers.ptr);
  return (disperse_response){
      .status = answer.status, .headers = headers, .headers_count = answer.headers.len, .body = TAKEN(answer.body)};
}

const char *disperse_header_of(const disperse_response *response, const char *name) {
  for (size_t i = 0; i < response->headers_count; i++) {
    const char *a = response->headers[i].name, *b = name;
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++;
    if (!*a && !*b) return response->headers[i].value;
  }
  return NULL;
}

static disperse_ended not_ended(const char *problem, const char *message) {
  return (disperse_ended){problem, message, -1, disperse_text(""), disperse_text("")};
}

disperse_ended disperse_program(const char *program, const char *const *arguments, size_t count, disperse_bytes input,
                                uint32_t timeout) {
  static const char *const problems[] = {"denied", "failed", "timeout", "oversize"};
  bool are_texts = is_text(program);
  for (size_t i = 0; i < count; i++) are_texts = are_texts && is_text(arguments[i]);
  if (!are_texts) return not_ended("failed", "the program or an argument is not UTF-8");
  guest_string_t *texts = scratch(count, sizeof *texts);
  for (size_t i = 0; i < count; i++) texts[i] = lent_text(arguments[i]);
  disperse_guest_exec_command_t command = {lent_text(program), {texts, count}, lent(input), timeout};
  disperse_guest_exec_ended_t ended;
  disperse_guest_exec_problem_t problem;
  bool ok = disperse_guest_exec_run(&command, &ended, &problem);
  free(texts);
  if (!ok) return not_ended(problems[problem.tag], TAKEN(problem.val.denied).data);
  return (disperse_ended){NULL, NULL, ended.code.is_some ? ended.code.val : -1, TAKEN(ended.output), TAKEN(ended.errors)};
}
