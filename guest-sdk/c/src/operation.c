/* Implements disperse.h for operations. A part of disperse.c, not compiled by itself. */

bool exports_guest_next(guest_list_u8_t *ret) {
  disperse_bytes task = {NULL, 0};
  bool more = disperse_next(&task);
  if (more) *ret = given(task);
  let_go();
  return more;
}

bool exports_guest_run(guest_list_u8_t *task, guest_list_u8_t *ret, guest_string_t *err) {
  disperse_result result = disperse_run(TAKEN(*task));
  bool ok = result.verdict == DISPERSE_OK;
  if (ok) *ret = given(result.bytes);
  else *err = given_text(result.bytes);
  let_go();
  return ok;
}

void exports_guest_collect(guest_list_u8_t *task, guest_result_list_u8_string_t *outcome) {
  disperse_result result = {outcome->is_err ? DISPERSE_RETRYABLE : DISPERSE_OK, {NULL, 0}, 0};
  result.bytes = outcome->is_err ? TAKEN(outcome->val.err) : TAKEN(outcome->val.ok);
  disperse_collect(TAKEN(*task), result);
  let_go();
}

bool exports_guest_finish(guest_string_t *err) {
  disperse_result result = disperse_finish();
  bool ok = result.verdict == DISPERSE_OK;
  if (!ok) *err = given_text(result.bytes);
  let_go();
  return ok;
}

__attribute__((weak)) void disperse_collect(disperse_bytes task, disperse_result outcome) {
  (void)task;
  if (outcome.verdict != DISPERSE_OK) {
    disperse_log(DISPERSE_ERROR, "a task failed: %s", outcome.bytes.data);
    return;
  }
  disperse_output_line(outcome.bytes);
}

__attribute__((weak)) disperse_result disperse_finish(void) { return disperse_ok(disperse_text("")); }

bool disperse_line(disperse_bytes *line) {
  static char *text;
  static size_t size;
  ssize_t length = getline(&text, &size, stdin);
  if (length < 0) return false;
  if (length && text[length - 1] == '\n') text[--length] = 0;
  if (length && text[length - 1] == '\r') text[--length] = 0;
  *line = (disperse_bytes){text, (size_t)length};
  return true;
}

const char *const *disperse_arguments(size_t *count) {
  __wasi_size_t texts = 0, size = 0;
  if (__wasi_args_sizes_get(&texts, &size)) abort();
  char **arguments = room(texts + 1, sizeof *arguments);
  if (__wasi_args_get((uint8_t **)arguments, room(size, 1))) abort();
  *count = texts ? texts - 1 : 0;
  return (const char *const *)arguments + (texts ? 1 : 0);
}

static disperse_guest_host_options_t to_wit(const disperse_options *options) {
  return (disperse_guest_host_options_t){options->priority, options->timeout,  options->deadline,
                                         options->fuel,     options->attempts, options->idempotent};
}

static disperse_outcome settled_as(bool ok, guest_list_u8_t *result, disperse_guest_host_refusal_t *refusal) {
  if (ok) return (disperse_outcome){true, TAKEN(*result), DISPERSE_REASON_PERMANENT};
  return (disperse_outcome){false, TAKEN(refusal->message), (disperse_reason)refusal->reason};
}

/* The handle of an action that was not requested from the host. Those of the host are positive, and 0 is one that was taken. */
enum { REFUSED = -1 };

/* A kind that violates the contract would end the task; here it fails only the action. */
static bool is_kind(const char *kind) { return lent_text(kind).len <= 256 && is_text(kind); }

disperse_pending disperse_submit(const char *kind, disperse_bytes input, const disperse_options *options) {
  if (!is_kind(kind)) return (disperse_pending){REFUSED};
  disperse_guest_host_action_t action = {lent_text(kind), lent(input)};
  if (!options) return (disperse_pending){disperse_guest_host_submit(&action).__handle};
  disperse_guest_host_options_t chosen = to_wit(options);
  return (disperse_pending){disperse_guest_host_submit_with(&action, &chosen).__handle};
}

static disperse_guest_host_borrow_pending_t borrowed(disperse_pending pending) {
  return disperse_guest_host_borrow_pending((disperse_guest_host_own_pending_t){pending.handle});
}

static disperse_outcome refused(const char *why, disperse_reason reason) {
  return (disperse_outcome){false, disperse_text(why), reason};
}

disperse_outcome disperse_take(disperse_pending *pending) {
  guest_list_u8_t result;
  disperse_guest_host_refusal_t refusal;
  if (!pending->handle) return refused("it was taken or cancelled already", DISPERSE_REASON_CANCELLED);
  if (pending->handle == REFUSED) {
    pending->handle = 0;
    return refused("its kind is not UTF-8 of at most 256 bytes", DISPERSE_REASON_PERMANENT);
  }
  bool ok = disperse_guest_host_method_pending_take(borrowed(*pending), &result, &refusal);
  disperse_cancel(pending);
  return settled_as(ok, &result, &refusal);
}

void disperse_cancel(disperse_pending *pending) {
  if (pending->handle > 0) disperse_guest_host_pending_drop_own((disperse_guest_host_own_pending_t){pending->handle});
  pending->handle = 0;
}

disperse_outcome disperse_perform(const char *kind, disperse_bytes input, const disperse_options *options) {
  disperse_pending pending = disperse_submit(kind, input, options);
  return disperse_take(&pending);
}

/* Whether one call of the host can take all of these: it copies no more than 16 MiB for a call, its own data of each
 * action included. */
static bool in_one_call(const disperse_action *actions, size_t count) {
  const size_t most = 4 << 20, each = 64;
  for (size_t i = 0, bytes = 0; i < count; i++) {
    if (actions[i].input.size > most || !is_kind(actions[i].kind)) return false;
    bytes += each + actions[i].input.size;
    if (bytes > most) return false;
  }
  return true;
}

static void perform_one_by_one(const disperse_action *actions, size_t count, const disperse_options *options,
                               disperse_outcome *outcomes) {
  disperse_pending open[1024];
  const size_t most = sizeof open / sizeof *open;
  for (size_t i = 0; i < count + most; i++) {
    disperse_pending *place = &open[i % most];
    if (i >= most && i - most < count) outcomes[i - most] = disperse_take(place);
    if (i < count) *place = disperse_submit(actions[i].kind, actions[i].input, options);
  }
}

void disperse_perform_all(const disperse_action *actions, size_t count, const disperse_options *options,
                          disperse_outcome *outcomes) {
  if (!in_one_call(actions, count)) {
    perform_one_by_one(actions, count, options, outcomes);
    return;
  }
  disperse_guest_host_action_t *asked = scratch(count, sizeof *asked);
  for (size_t i = 0; i < count; i++) {
    asked[i].kind = lent_text(actions[i].kind);
    asked[i].payload = lent(actions[i].input);
  }
  disperse_guest_host_list_action_t list = {asked, count};
  disperse_guest_host_list_result_list_u8_refusal_t answer;
  if (options) {
    disperse_guest_host_options_t chosen = to_wit(options);
    disperse_guest_host_perform_all_with(&list, &chosen, &answer);
  } else {
    disperse_guest_host_perform_all(&list, &answer);
  }
  free(asked);
  for (size_t i = 0; i < answer.len && i < count; i++)
    outcomes[i] = settled_as(!answer.ptr[i].is_err, &answer.ptr[i].val.ok, &answer.ptr[i].val.err);
  if (answer.len) free(answer.ptr);
}

size_t disperse_wait_any(const disperse_pending *pendings, size_t count, size_t *settled) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++)
    if (pendings[i].handle == REFUSED) settled[found++] = i;
  if (found) return found;
  disperse_guest_host_borrow_pending_t *open = scratch(count, sizeof *open);
  for (size_t i = 0; i < count; i++) {
    if (!pendings[i].handle) continue;
    settled[found] = i;
    open[found++] = borrowed(pendings[i]);
  }
  disperse_guest_host_list_borrow_pending_t list = {open, found};
  guest_list_u32_t ready = {NULL, 0};
  if (found) disperse_guest_host_wait_any(&list, &ready);
  free(open);
  /* They ascend, so that no place is overwritten before it is read. */
  for (size_t i = 0; i < ready.len; i++) settled[i] = settled[ready.ptr[i]];
  if (ready.len) free(ready.ptr);
  return ready.len;
}

uint32_t disperse_sleep(uint32_t ms) { return disperse_guest_host_sleep(ms); }

void disperse_output(disperse_bytes bytes) {
  const size_t most = 1 << 20;
  while (bytes.size) {
    disperse_bytes part = {bytes.data, bytes.size < most ? bytes.size : most};
    guest_list_u8_t list = lent(part);
    disperse_guest_output_write(&list);
    bytes.data += part.size;
    bytes.size -= part.size;
  }
}

void disperse_output_line(disperse_bytes bytes) {
  char *line = scratch(bytes.size + 1, 1);
  if (bytes.size) memcpy(line, bytes.data, bytes.size);
  line[bytes.size] = '\n';
  disperse_output((disperse_bytes){line, bytes.size + 1});
  free(line);
}
