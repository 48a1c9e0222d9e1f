// Makes what is in the page like what was just built, and keeps every element that is still meant: a press that began on a button
// ends on it, and the focus and an open list stay where they are, however often the state changes.

const HANDLERS = ['onclick', 'onchange'];

/** @param nodes what the parent is to hold. Elements with the same data-key are the same, others by their place */
export function morph(parent, nodes) {
  const keys = new Set(nodes.map(keyOf).filter(Boolean)), kept = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key && keys.has(key)) kept.set(key, child);
    else if (key) child.remove();
  }
  let at = parent.firstChild;
  for (const node of nodes) {
    const key = keyOf(node), old = key ? kept.get(key) : at && !keyOf(at) ? at : null;
    if (!old || old.nodeName !== node.nodeName) {
      parent.insertBefore(node, at);
      continue;
    }
    if (old === at) at = at.nextSibling;
    else parent.insertBefore(old, at);
    become(old, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const keyOf = node => node.dataset?.key ?? '';

function become(old, node) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of HANDLERS) old[name] = node[name];
  morph(old, [...node.childNodes]);
  if (old.nodeName === 'SELECT' && old !== document.activeElement) old.value = node.value;
}
