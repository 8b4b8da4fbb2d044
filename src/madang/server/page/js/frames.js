// Drawing at most once in each animation frame, however fast chunks arrive.

const waiting = new Set();

/** Call `draw` in the next frame; asking again before that changes nothing. */
export function inNextFrame(draw) {
  if (waiting.size === 0) requestAnimationFrame(drawAll);
  waiting.add(draw);
}

function drawAll() {
  const now = [...waiting];
  waiting.clear();
  for (const draw of now) draw();
}
