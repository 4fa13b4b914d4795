/** A fault that a fresh worker would meet again: somebody has to act first. */
export class NeedsPerson extends Error {
  override name = "NeedsPerson";
}
