// This tab's place in a conference: kept over a reload, and not taken from another tab of the same browser.

const SEAT = 'muster-seat';
const ANSWERS = 200; // ms: another tab that has the place says so at once

export const readSeat = () => JSON.parse(sessionStorage.getItem(SEAT) || 'null');
export const writeSeat = seat => sessionStorage.setItem(SEAT, JSON.stringify(seat));
export const forgetSeat = () => sessionStorage.removeItem(SEAT);

const tabs = window.BroadcastChannel ? new BroadcastChannel(SEAT) : null;
let held = ''; // the endpoint that this tab is
let waits; // who asks now
tabs?.addEventListener('message', ({ data }) => {
  if (data.asks && data.asks === held) tabs.postMessage({ has: held });
  else if (data.has) waits?.(data.has);
});

/** A tab that was duplicated has the same place in mind. @param take this tab is it from here on
 *  @return whether another tab of this browser is that endpoint now */
export async function claim(endpoint, take = false) {
  if (take || !endpoint) held = endpoint;
  if (take || !endpoint || !tabs) return false;
  tabs.postMessage({ asks: endpoint });
  return new Promise(done => {
    const timer = setTimeout(() => done(false), ANSWERS);
    waits = has => {
      if (has !== endpoint) return;
      clearTimeout(timer);
      done(true);
    };
  });
}
