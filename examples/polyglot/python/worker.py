"""How many steps a number has to 1: an even one is halved, an odd one tripled and one added."""

import disperse


# The largest exact whole number of some languages.
MOST = 2**53 - 1


@disperse.worker
def steps(n: int) -> int:
    if n < 1:
        raise disperse.Permanent(f"{n} has no way to 1")
    count = 0
    while n != 1:
        if n > MOST:
            raise disperse.Permanent("a number on the way is over 2^53 - 1")
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count
