// The application that runs when no module is given. It uses the public interface alone, so it is
// also an example of it.
#ifndef CV_DEMO_DEMO_H
#define CV_DEMO_DEMO_H

struct covet_app;

// Registers its routes. Returns 0 or a negative errno value, as covet_module_init does.
int cv_demo_init(struct covet_app *app);

#endif
