/** One picture from a camera, of the back of a phone where there is one. */

export const exists = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** A JPEG file, or null when the person thinks better of it. Throws an Error where there is no camera. */
export async function take() {
  const dialog = document.getElementById("camera");
  const video = dialog.querySelector("video");
  let stream;
  try {
    const wanted = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "the browser was not allowed to use it" : "there is none, or it is in use";
    throw new Error(`No picture from a camera: ${why}.`);
  }
  try {
    video.srcObject = stream;
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    return dialog.returnValue === "take" && video.videoWidth ? await still(video) : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

async function still(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  const when = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
  return new File([blob], `camera-${when}.jpg`, { type: "image/jpeg" });
}
