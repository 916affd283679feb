/** The form to sign in with. */

import { signIn } from "./api.js";
import { byId } from "./elements.js";

/** Shows the form, and resolves with the session once somebody has signed in. */
export function askForSession(reason = "") {
  const [screen, form, wrong] = [byId("sign-in"), byId("sign-in-form"), byId("sign-in-error")];
  screen.hidden = false;
  byId("app").hidden = true;
  wrong.textContent = reason;
  document.title = "Sign in · dxflow";
  (form.elements.email.value ? form.elements.password : form.elements.email).focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const { email, password, namespace } = form.elements;
      const empty = [email, password].find((field) => !field.value.trim());
      if (empty) {
        wrong.textContent = `Write your ${empty === email ? "e-mail address" : "password"}.`;
        empty.focus();
        return;
      }
      const submit = form.querySelector('[type="submit"]');
      submit.disabled = true;
      wrong.textContent = "";
      try {
        const session = await signIn({ email: email.value.trim(), password: password.value, ...(namespace.value.trim() ? { namespace: namespace.value.trim() } : {}) });
        password.value = "";
        screen.hidden = true;
        resolve(session);
      } catch (error) {
        wrong.textContent = error.message;
        password.select();
      } finally {
        submit.disabled = false;
      }
    };
  });
}
