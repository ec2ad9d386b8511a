from ui.frame import draw_frame

draw_frame("x")
