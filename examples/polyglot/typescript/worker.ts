// How many steps a number has to 1: an even one is halved, an odd one tripled and one added.
import { Permanent, worker } from "disperse/worker";

export const handle = worker((n: number) => {
  if (n < 1) throw new Permanent(`${n} has no way to 1`);
  let count = 0;
  while (n !== 1) {
    if (n > Number.MAX_SAFE_INTEGER) throw new Permanent("a number on the way is over 2^53 - 1");
    n = n % 2 === 0 ? n / 2 : 3 * n + 1;
    count += 1;
  }
  return count;
});
