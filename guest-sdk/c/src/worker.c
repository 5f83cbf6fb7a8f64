/* What disperse.h promises to workers. A part of disperse.c, not compiled by itself. */

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
  disperse_guest_quota_report_t report = {lent_text(bucket), remaining, resets};
  disperse_guest_quota_update(&report);
}

disperse_response disperse_fetch(const disperse_request *request) {
  static const char *const problems[] = {"denied", "invalid", "timeout", "unreachable", "oversize"};
  size_t count = request->headers_count;
  disperse_guest_http_types_header_t *lines = room(count, sizeof *lines);
  for (size_t i = 0; i < count; i++) {
    lines[i].name = lent_text(request->headers[i].name);
    lines[i].value = lent_text(request->headers[i].value);
  }
  disperse_guest_http_request_t asked = {
      lent_text(request->verb), lent_text(request->url), {lines, count}, lent(request->body), request->timeout};
  disperse_guest_http_response_t said;
  disperse_guest_http_problem_t problem;
  if (!disperse_guest_http_fetch(&asked, &said, &problem)) {
    disperse_response none = {.problem = problems[problem.tag], .message = TAKEN(problem.val.denied).data};
    none.body = disperse_text("");
    return none;
  }
  disperse_header *headers = room(said.headers.len, sizeof *headers);
  for (size_t i = 0; i < said.headers.len; i++) {
    headers[i].name = TAKEN(said.headers.ptr[i].name).data;
    headers[i].value = TAKEN(said.headers.ptr[i].value).data;
  }
  if (said.headers.len) keep(said.headers.ptr);
  return (disperse_response){
      .status = said.status, .headers = headers, .headers_count = said.headers.len, .body = TAKEN(said.body)};
}

const char *disperse_header_of(const disperse_response *response, const char *name) {
  for (size_t i = 0; i < response->headers_count; i++) {
    const char *a = response->headers[i].name, *b = name;
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++;
    if (!*a && !*b) return response->headers[i].value;
  }
  return NULL;
}

disperse_ended disperse_program(const char *program, const char *const *arguments, size_t count, disperse_bytes input,
                                uint32_t timeout) {
  static const char *const problems[] = {"denied", "failed", "timeout", "oversize"};
  guest_string_t *texts = room(count, sizeof *texts);
  for (size_t i = 0; i < count; i++) texts[i] = lent_text(arguments[i]);
  disperse_guest_exec_command_t command = {lent_text(program), {texts, count}, lent(input), timeout};
  disperse_guest_exec_ended_t ended;
  disperse_guest_exec_problem_t problem;
  if (!disperse_guest_exec_run(&command, &ended, &problem)) {
    disperse_bytes none = disperse_text("");
    return (disperse_ended){problems[problem.tag], TAKEN(problem.val.denied).data, -1, none, none};
  }
  return (disperse_ended){NULL, NULL, ended.code.is_some ? ended.code.val : -1, TAKEN(ended.output), TAKEN(ended.errors)};
}
