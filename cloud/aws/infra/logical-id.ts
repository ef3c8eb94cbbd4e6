/** `dead-letters` → `DeadLetters`: names are in small letters and dashes, logical ids of a template have letters and digits only. */
export function logicalId(name: string): string {
  return name.replaceAll(/(?:^|-)(.)/g, (_, letter: string) => letter.toUpperCase());
}
