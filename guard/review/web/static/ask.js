// Questions to the server, and what it answers.

let token = "";

export function enter(found) {
  token = found;
}

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "x-review-token": token }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Start `depois review` again; what waited when it was stopped in order was written.");
  }
  const found = await answer.json().catch(() => ({ error: "Open the link that `depois review` printed." }));
  if (!answer.ok) throw new Error(found.error);
  return found;
}

export function query(path, fields) {
  return `${path}?${new URLSearchParams(fields)}`;
}
