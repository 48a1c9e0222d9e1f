// The sound of a conference: a player for each slot, on the loudspeaker that was chosen.

export class Sounds {
  /** @param on on.blocked(whether): the browser wants a tap first */
  constructor(on) {
    this.on = on;
    this.root = document.getElementById('sounds');
    this.players = new Map(); // by track
    this.speaker = '';
  }

  /** @param tracks all that are to be heard now */
  play(tracks) {
    for (const [track, player] of this.players) {
      if (tracks.includes(track)) continue;
      player.srcObject = null;
      player.remove();
      this.players.delete(track);
    }
    for (const track of tracks) {
      if (this.players.has(track)) continue;
      const player = document.createElement('audio');
      player.srcObject = new MediaStream([track]);
      this.players.set(track, player);
      this.root.append(player);
      this.sink(player);
      this.start(player);
    }
    if (!tracks.length) this.on.blocked(false);
  }

  start(player) {
    return player.play().catch(e => e.name === 'NotAllowedError' && this.on.blocked(true));
  }

  /** After a tap: now the browser lets us. */
  async resume() {
    this.on.blocked(false);
    await Promise.all([...this.players.values()].map(player => this.start(player)));
  }

  use(speaker) {
    this.speaker = speaker;
    for (const player of this.players.values()) this.sink(player);
  }

  sink(player) {
    if (player.setSinkId && this.speaker !== (player.sinkId || 'default')) player.setSinkId(this.speaker === 'default' ? '' : this.speaker).catch(() => {}); // unplugged: the default then
  }
}
