/**
 * The first that is good of at most `count`, or the last of them: where a busy machine may spoil one, another may show what the product
 * does. What is left out is printed. `attempt` is told its number, from 0.
 */
export async function oneOf<T>(
  count: number,
  attempt: (number: number) => Promise<T>,
  isGood: (outcome: T) => boolean,
): Promise<T> {
  let outcome = await attempt(0);
  for (let number = 1; number < count && !isGood(outcome); number++) {
    console.info(`left out: ${JSON.stringify(outcome)}`);
    outcome = await attempt(number);
  }
  return outcome;
}
